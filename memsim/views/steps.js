// The list of operations, and of the steps of the one that is open. See scene.js for how the files
// become one.

const WINDOW = 100; // steps of a long operation that are listed

class StepList {
  constructor(player) {
    Object.assign(this, { player, open: -1, range: [0, 0] });
    const { operations, frames } = player.payload;
    this.operations = operations.length ? operations : [["All steps", 0, frames.length]];
    this.heads = this.operations.map(([name, from, to]) => h("button", { type: "button",
      class: "ms-operation", "aria-expanded": false,
      onclick: () => player.go(to > from ? from + 1 : from) }, name));
    this.list = h("ol", {});
    this.element = h("div", { class: "ms-steps", role: "group", "aria-label": "Steps" },
      ...this.heads);
  }

  /** Only what differs from what is shown is made anew: there may be thousands of steps. */
  show(operation) {
    const { frame } = this.player.scene;
    const open = this.player.payload.operations.length ? this.operations.indexOf(operation) : 0;
    const focused = this.element.contains(document.activeElement);
    this.rename();
    const [first, last] = this.range;
    const [, from, to] = this.operations[open] ?? [];
    const outside = frame - 1 < first + (first > from ? 20 : 0) || frame > last - (last < to ? 20 : 0);
    if (open !== this.open || (open >= 0 && outside)) this.unfold(open, frame);
    this.list.querySelector("[aria-current]")?.removeAttribute("aria-current");
    this.current = open < 0 ? undefined : this.list.children[frame - 1 - this.range[0]]?.firstChild;
    this.current?.setAttribute("aria-current", "step");
    if (focused && (this.current || !this.element.contains(document.activeElement))) {
      (this.current ?? this.heads[Math.max(open, 0)]).focus({ preventScroll: true });
    }
  }

  /** Names tell the outcome: not before it was predicted. */
  rename() {
    const { predict } = this.player.panes;
    if (!predict) return;
    this.heads.forEach((head, n) => {
      const name = predict.hides(n) ? predict.questions[n][0] : this.operations[n][0];
      if (head.textContent !== name) head.textContent = name;
    });
  }

  /** The steps of one operation; of a long one those around the present one. */
  unfold(open, frame) {
    this.heads[this.open]?.setAttribute("aria-expanded", false);
    this.heads[open]?.setAttribute("aria-expanded", true);
    this.open = open;
    if (open < 0) return this.list.remove();
    const [, from, to] = this.operations[open];
    const first = Math.max(from, Math.min(frame - WINDOW / 2, to - WINDOW));
    this.range = [first, Math.min(to, first + WINDOW)];
    this.list.replaceChildren();
    this.list.setAttribute("start", first + 1);
    for (let n = first; n < this.range[1]; n++) {
      this.list.append(h("li", {}, h("button", { type: "button",
        onclick: () => this.player.go(n + 1) }, this.player.payload.frames[n][0])));
    }
    this.heads[open].after(this.list);
  }

  /** The present step into view; reads the layout, so it comes last. */
  scroll() {
    if (!this.current) return;
    const { offsetTop, offsetHeight } = this.current;
    this.element.scrollTop = offsetTop - Math.max(this.element.clientHeight - offsetHeight, 0) / 2;
  }
}
