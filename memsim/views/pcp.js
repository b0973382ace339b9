// Lists of each CPU: who keeps which pages, and how full it is. See scene.js for how the files
// become one.

/** The class of a CPU's pages: colour and hatching; neighbours in number differ in hatching. */
const pcpClass = (cpu) => `ms-pcp${cpu % 2 ? " ms-odd" : ""}`;

/** A pane for each CPU in each zone; `rows` are all lists' rows, by the lists' numbers. */
function cpuPanes(scene, rows) {
  return scene.payload.cpus.map((cpu, owner) => {
    const own = rows.filter((_, n) => scene.payload.lists[n].owner === owner);
    const text = cpuText(scene, cpu);
    return h("div", { class: "ms-cpu", role: "group", "aria-label": text },
      h("p", { class: "ms-cpu-head" }, text), gauge(scene, cpu), ...own);
  });
}

/** How far count is on its way to high; the text says the same. */
function gauge(scene, { fields }) {
  const [count, high] = fields.map((n) => scene.fields[n]);
  const filled = high ? Math.min(100, (100 * count) / high) : count ? 100 : 0;
  return h("div", { class: "ms-gauge", "aria-hidden": "true" },
    h("div", { class: "ms-filled", style: `width: ${filled}%` }));
}
