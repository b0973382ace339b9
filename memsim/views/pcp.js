// Lists of each CPU: who keeps which pages, and how full it is. See scene.js for how the files
// become one.

/** The class of a CPU's pages: colour and hatching; neighbours in number differ in hatching. */
const pcpClass = (cpu) => `ms-pcp${cpu % 2 ? " ms-odd" : ""}`;

/** A CPU in a zone, with the rows of its lists; show() brings its numbers up to date. */
class CpuPane {
  constructor(scene, cpu, rows) {
    Object.assign(this, { scene, cpu });
    this.head = h("p", { class: "ms-cpu-head" });
    this.filled = h("div", { class: "ms-filled" });
    const gauge = h("div", { class: "ms-gauge", "aria-hidden": "true" }, this.filled);
    this.element = h("div", { class: "ms-cpu", role: "group" }, this.head, gauge, ...rows);
  }

  /** The gauge: how far count is on its way to high; the text says the same. */
  show() {
    const text = cpuText(this.scene, this.cpu);
    if (this.head.textContent === text) return;
    const [count, high] = this.cpu.fields.map((n) => this.scene.fields[n]);
    this.head.textContent = text;
    this.element.setAttribute("aria-label", text);
    this.filled.style.width = `${high ? Math.min(100, (100 * count) / high) : count ? 100 : 0}%`;
  }
}
