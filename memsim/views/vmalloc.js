// The vmalloc pane: areas on a logarithmic scale, the tree of free ones, a walk through the page
// tables. The text is that of vmalloc_scene.py. See scene.js for how the files become one.

const VMALLOC_TITLE = "vmalloc: areas, lowest first; tree; page-table walk";
const LEFT_OUT = "not kept for this picture";
const NO_VMALLOC = "this machine has no vmalloc";

class VmallocPane {
  static side = "wide";

  constructor(player) {
    Object.assign(this, { player, data: player.payload.vmalloc, address: "" });
    this.numbers = h("p", { class: "ms-small" });
    this.space = h("ol", { class: "ms-space", "aria-label": "Areas, lowest address first" });
    this.chosen = h("p", { class: "ms-small" });
    this.tree = h("div", { class: "ms-tree", role: "group", tabindex: 0,
      "aria-label": "Tree of free areas" });
    this.input = h("input", { type: "text", placeholder: "first busy area", spellcheck: "false",
      onchange: () => this.choose(this.input.value) });
    this.walk = h("ol", { class: "ms-walk", "aria-label": "Page-table walk" });
    const head = (text) => h("p", { class: "ms-head" }, text);
    this.element = h("div", { class: "ms-vmalloc", role: "group", "aria-label": "vmalloc" },
      head("Addresses of vmalloc, each width as the logarithm of the size"), this.numbers,
      this.space, this.chosen, head("Tree of free areas: address, size, subtree_max_size"),
      this.tree, head("Page-table walk"),
      h("label", { class: "ms-small" }, "to address ", this.input), this.walk,
      ...(this.data.more ? [h("p", { class: "ms-small" }, this.data.more)] : []));
  }

  /** Cells of one kind that have a value: [...key, value]. */
  all(what) {
    const { cells } = this.player.scene;
    return this.data[what].map((entry) => [...entry.slice(0, -1), cells[entry.at(-1)]])
      .filter((entry) => entry.at(-1) !== null);
  }

  areas() {
    return this.all("area").sort(([a], [b]) => (BigInt(a) < BigInt(b) ? -1 : 1));
  }

  show() {
    this.numbers.textContent = this.lineOfNumbers() || NO_VMALLOC;
    this.showAreas();
    this.nodes = new Map(this.all("node"));
    this.tree.replaceChildren(h("ul", {}, ...this.branch(this.all("root")[0]?.[0], "")));
    const [head, ...steps] = this.walkLines();
    this.walk.replaceChildren(...steps.map((line) => h("li", {}, line.trim())));
    this.walk.setAttribute("aria-label", head);
    this.input.setAttribute("title", head);
    if (this.input !== document.activeElement) this.input.value = this.address;
  }

  showAreas() {
    const changed = (this.player.now()?.[2] ?? []).filter(([kind]) => kind === CELL)
      .map(([, cell]) => cell);
    const moved = new Set(this.data.area.filter(([, cell]) => changed.includes(cell))
      .map(([start]) => start));
    const focused = [...this.space.querySelectorAll("button")].indexOf(document.activeElement);
    this.space.replaceChildren(...this.areas().map(([start, [kind, log, words]]) => h("li",
      { style: `flex-grow: ${Math.max(1, log - 10)}` }, h("button", {
        type: "button", "aria-label": words, title: words, "aria-pressed": this.address === start,
        class: `ms-area ms-is-${kind.split(" ")[0]}${moved.has(start) ? " ms-moved" : ""}`,
        onclick: () => this.choose(this.address === start ? "" : start),
      }, kind))));
    if (focused >= 0) this.space.querySelectorAll("button")[focused]?.focus();
    this.chosen.textContent = this.areas().find(([start]) => start === this.address)?.[1][2] ?? "";
  }

  branch(start, side) {
    if (!start || !this.nodes.has(start)) return [];
    const [left, right, red, words] = this.nodes.get(start);
    const below = [...this.branch(left, "left: "), ...this.branch(right, "right: ")];
    return [h("li", {}, h("span", { class: red ? "ms-red" : "ms-black" }, `${side}${words}`),
      ...(below.length ? [h("ul", {}, ...below)] : []))];
  }

  choose(text) {
    this.address = addressOf(text);
    this.input.value = this.address;
    this.player.move(this.player.scene.frame);
    if (text && !this.address) this.chosen.textContent = "An address has up to 16 hexadecimal digits";
  }

  lineOfNumbers() {
    return this.all("number").map(([name, value]) => `${name} ${value}`).join(", ");
  }

  walkLines() {
    const busy = this.areas().find(([, [kind]]) => kind === "busy");
    const address = this.address || busy?.[0];
    if (!address) return ["no busy area to walk to"];
    const entries = new Map(this.all("entry").map(([pfn, n, value]) => [`${pfn} ${n}`, value]));
    const lines = [`walk to ${address}`];
    let table = -1;
    for (const [name, shift] of this.data.levels) {
      const number = Number((BigInt(address) >> BigInt(shift)) & BigInt(this.data.mask));
      const value = entries.get(`${table} ${number}`);
      const place = table < 0 ? "swapper_pg_dir" : `the table at pfn ${table}`;
      const where = `  ${name}: entry ${number} of ${place}`;
      if (this.data.left_out.includes(table)) return [...lines, `${where} is ${LEFT_OUT}`];
      const maps = name === "pte" || value?.[1] ? "maps" : "leads to";
      lines.push(`${where} ${value ? `${maps} pfn ${value[0]}` : "is empty"}`);
      if (!value || maps === "maps") break;
      [table] = value;
    }
    return lines;
  }

  treeLines(start, depth, side) {
    if (!start) return [];
    const [left, right, , words] = this.nodes.get(start);
    return [`${"  ".repeat(depth)}${side}${words}`, ...this.treeLines(left, depth + 1, "left: "),
      ...this.treeLines(right, depth + 1, "right: ")];
  }

  text() {
    if (!this.data.area.length) return [VMALLOC_TITLE, [`  ${NO_VMALLOC}`]];
    const lines = [this.lineOfNumbers(), ...this.areas().map(([, [, , words]]) => words),
      "tree of free areas, root first", ...this.treeLines(this.all("root")[0]?.[0], 1, ""),
      ...this.walkLines(), ...(this.data.more ? [this.data.more] : [])];
    return [VMALLOC_TITLE, lines.map((line) => `  ${line}`)];
  }
}

/** An address as Python's hex() writes it; "" for what is none. */
function addressOf(text) {
  const digits = /^\s*(?:0x)?0*([0-9a-f]{1,16})\s*$/i.exec(text)?.[1];
  return digits ? `0x${BigInt(`0x${digits}`).toString(16)}` : "";
}
