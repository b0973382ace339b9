// The slab pane: each slab in the place where it is, its objects in the order in which they are
// handed out. The text is that of slab_scene.py. See scene.js for how the files become one.

const SLABS_TITLE = "Slabs, by the place they are in";
const OBJECTS = 64; // of a slab that are drawn

class SlabPane {
  static side = "wide";

  constructor(player) {
    Object.assign(this, { player, data: player.payload.slab });
    this.caches = h("div", {});
    this.element = h("div", { class: "ms-slabs", role: "group", "aria-label": SLABS_TITLE },
      h("p", { class: "ms-head" }, SLABS_TITLE), this.caches, h("ul", { class: "ms-legend" },
        ...[["used", "in use"], ["cpu", "on the lockless list"], ["slab", "on the slab's freelist"]]
          .map(([kind, name]) => h("li", {}, h("span", { class: `ms-object ms-on-${kind}` }), name)),
        h("li", {}, "Numbers: the next to be handed out is 1")));
  }

  /** Slabs of a cache that are there now, in the order of their places: [pfn, value, cell]. */
  slabs(number) {
    const { cells } = this.player.scene;
    return this.data.cells.filter(([, cache, ]) => cache === number)
      .map(([cell, , pfn]) => [pfn, cells[cell], cell]).filter(([, value]) => value)
      .sort((a, b) => a[1][1] - b[1][1] || a[0] - b[0]);
  }

  show() {
    const changed = (this.player.now()?.[2] ?? []).filter(([kind]) => kind === CELL)
      .map(([, cell]) => cell);
    this.caches.replaceChildren(...this.data.caches.map(([number, name]) => {
      const slabs = this.slabs(number);
      const places = [...new Set(slabs.map(([, [place]]) => place))];
      return h("div", { class: "ms-cache", role: "group", "aria-label": `cache ${name}` },
        h("p", {}, h("b", {}, name), `: ${slabCount(slabs)}`), ...places.map((place) =>
          h("div", { class: "ms-place" }, h("span", {}, place), h("ol", { "aria-label": place },
            ...slabs.filter(([, value]) => value[0] === place).map(([pfn, value, cell]) =>
              this.slab(pfn, value, changed.includes(cell)))))));
    }), ...(this.data.caches.length ? [] : [h("p", {}, NO_SLABS)]));
  }

  slab(pfn, value, changed) {
    const [, , count, , frozen, lockless, free] = value;
    const squares = Array.from({ length: Math.min(count, OBJECTS) }, (_, n) => {
      const [on, at] = [lockless.indexOf(n), free.indexOf(n)];
      const kind = on >= 0 ? "cpu" : at >= 0 ? "slab" : "used";
      return h("span", { class: `ms-object ms-on-${kind}` }, kind === "used" ? "" : String(
        (on >= 0 ? on : at) + 1));
    });
    return h("li", { class: `ms-slab${changed ? " ms-moved" : ""}` },
      h("button", { type: "button", "aria-label": slabWords(pfn, value),
        onclick: () => this.player.follow(pfn, true) }, `pfn ${pfn}`), frozen ? "frozen" : "",
      h("span", { class: "ms-objects", "aria-hidden": "true" }, ...squares,
        ...(count > OBJECTS ? [` and ${count - OBJECTS} more`] : [])));
  }

  text() {
    const lines = this.data.caches.flatMap(([number, name]) => {
      const slabs = this.slabs(number);
      return [`  cache ${name}: ${slabCount(slabs)}`,
        ...slabs.map(([pfn, value]) => `    ${slabWords(pfn, value)}`)];
    });
    return [SLABS_TITLE, lines.length ? lines : [`  ${NO_SLABS}`]];
  }
}

const NO_SLABS = "no step of a slab";

const slabCount = (slabs) => `${slabs.length} slab${slabs.length === 1 ? "" : "s"}`;

function slabWords(pfn, [place, , objects, , frozen, lockless, free]) {
  const used = objects - lockless.length - free.length;
  const lists = [["lockless list", lockless], ["freelist", free]].map(([name, listed]) =>
    (listed.length ? `; ${name} ${listed.join(" ")}` : "")).join("");
  return `pfn ${pfn}: ${place}${frozen ? ", frozen" : ""}; ${used} of ${objects} in use${lists}`;
}
