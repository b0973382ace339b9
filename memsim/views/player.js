// The player: address order and list order of one machine, linked, stepped both ways.
//
// anywidget calls render(); a page without a kernel calls mount(). See scene.js for how the
// files become one.

/** An element with attributes (on...: a listener) and children. Text is never read as HTML. */
function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const KEYS = "Keys: ← → one step, Home End first and last, Space play and pause. " +
  "Choose a block to follow its first page, or a list to see its order.";

const PANES = { code: CodePane, zones: ZonePane, predict: PredictPane, slab: SlabPane,
  vmalloc: VmallocPane };

class Player {
  /** `rest` is told where the reader came to rest; with `seek` somebody else moves the player. */
  constructor(root, payload, { rest = () => {}, seek } = {}) {
    Object.assign(this, { root, payload, rest, seek, selected: -1, hover: null, list: -1 });
    this.scene = new Scene(payload);
    this.panes = Object.fromEntries(payload.panes.map((name) => [name, new PANES[name](this)]));
    this.build();
    this.strip = new Strip(this.canvas, this.scene);
    this.watch();
    this.show();
    this.describe();
  }

  // -- building

  build() {
    this.canvas = h("canvas", {
      role: "img", onpointermove: (e) => this.point(e), onpointerleave: () => this.glow(null),
      onclick: (e) => this.pick(e),
    });
    this.say = h("p", { class: "ms-say", "aria-live": this.seek ? "off" : "polite" });
    this.controls = new Controls(this);
    this.numbers = h("ul", { class: "ms-numbers" });
    this.counters = h("details", { ontoggle: () => this.showNumbers() },
      h("summary", {}, "Counters"), this.numbers);
    this.lists = h("div", { class: "ms-lists", role: "group", "aria-label": "List order" });
    this.cpus = h("div", { class: "ms-cpus", role: "group", "aria-label": "Lists of each CPU" });
    this.steps = new StepList(this);
    this.pre = h("pre", { tabindex: 0, role: "group", "aria-label": "Text form" });
    this.text = h("details", { ontoggle: () => this.showText() },
      h("summary", {}, "Text form"), this.pre);
    const title = this.payload.title;
    const label = title ? `Player: ${title}` : "Player";
    this.player = h("section", {
      class: "memsim-player", "aria-label": label, "data-lm-suppress-shortcuts": "true",
      ...(this.seek ? {} : { tabindex: 0, onkeydown: (e) => this.key(e) }),
    }, ...(title ? [h("p", { class: "ms-title" }, title)] : []),
    ...(this.seek ? [] : [this.controls.element]), this.say,
    ...this.side("top"), ...this.side("wide"),
    h("p", { class: "ms-head" }, "Address order"), h("div", { class: "ms-strip" }, this.canvas),
    this.buildLegend(), this.buildFollow(), h("div", { class: "ms-panes" },
      h("div", {}, ...this.side("left"), ...this.buildLists(),
        this.counters),
      h("div", {}, h("p", { class: "ms-head" }, "Steps"), this.steps.element, ...this.side("right"))),
    this.text, ...(this.seek ? [] : [h("p", { class: "ms-keys" }, KEYS)]));
    this.player.memsim = this;
    this.root.replaceChildren(this.player);
  }

  /** Free lists and pcp lists; folded where a pane stands for what the lesson is about. */
  buildLists() {
    const lists = [h("p", { class: "ms-head" }, "List order, head first"), this.lists,
      ...(this.payload.cpus.length
        ? [h("p", { class: "ms-head" }, "Lists of each CPU (pcp), head first"), this.cpus] : [])];
    return this.side("wide").length
      ? [h("details", {}, h("summary", {}, "Free lists and pcp lists"), ...lists)] : lists;
  }

  /** The chosen panes that belong there. */
  side(name) {
    return Object.values(this.panes).filter((pane) => pane.constructor.side === name)
      .map((pane) => pane.element);
  }

  buildLegend() {
    const used = (kind) => kind < PCP || kind === ALLOCATED || kind === NONE ||
      (kind === PCP ? this.payload.lists.some((l) => l.pcp) : this.scene.reserved.includes(1));
    return h("ul", { class: "ms-legend" }, ...LEGEND.flatMap((name, kind) => used(kind)
      ? [h("li", {}, h("span", { class: `ms-key ms-${KINDS[kind]}` }), name)] : []));
  }

  buildFollow() {
    const { start, end } = this.scene;
    this.input = h("input", {
      type: "number", min: start, max: end - 1, placeholder: "none", "aria-label": "Follow pfn",
      onchange: () => this.follow(this.input.value === "" ? -1 : Number(this.input.value), true),
    });
    this.place = h("output", {});
    this.whole = h("button", { type: "button", onclick: () => this.zoom() }, "Show all pages");
    this.note = h("span", { class: "ms-note" });
    return h("div", { class: "ms-follow" }, h("label", {}, "Follow pfn ", this.input), this.place,
      this.whole, this.note);
  }

  watch() {
    const redraw = () => {
      this.strip.stale = true;
      this.draw();
    };
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const size = new ResizeObserver(redraw);
    const theme = new MutationObserver(redraw);
    size.observe(this.canvas.parentElement);
    theme.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
    dark.addEventListener("change", redraw);
    this.destroy = () => {
      this.controls.pause();
      clearTimeout(this.resting);
      size.disconnect();
      theme.disconnect();
      dark.removeEventListener("change", redraw);
    };
  }

  // -- doing

  get at() {
    return this.scene.frame;
  }

  get last() {
    return this.scene.last;
  }

  go(frame) {
    if (this.seek) this.seek(frame);
    else this.controls.go(frame);
  }

  move(frame) {
    this.scene.go(this.panes.predict?.limit(frame) ?? frame);
    this.show();
    clearTimeout(this.resting);
    this.resting = setTimeout(() => this.comeToRest(), 150);
  }

  comeToRest() {
    this.describe();
    this.rest({ step: this.scene.frame, selected: this.selected,
      ...(this.panes.predict ? { answers: this.panes.predict.answers } : {}),
      ...(this.panes.vmalloc ? { address: this.panes.vmalloc.address } : {}) });
  }

  key(event) {
    if (this.controls.key(event)) return;
    const plain = !event.ctrlKey && !event.altKey && !event.metaKey && !event.target.matches("input");
    if (plain && this.panes.predict?.key(event.key)) this.controls.pause();
  }

  follow(pfn, zoom) {
    const inside = Number.isInteger(pfn) && pfn >= this.scene.start && pfn < this.scene.end;
    this.selected = inside ? pfn : -1;
    if (inside && zoom && this.strip.pages < this.scene.states.length) this.strip.zoom(pfn);
    this.input.value = inside ? pfn : "";
    this.move(this.scene.frame);
    if (!inside && pfn !== -1) {
      this.place.textContent = `pfn ${this.scene.start} to ${this.scene.end - 1} can be followed`;
    }
  }

  zoom(pfn) {
    this.strip.zoom(pfn);
    this.draw();
  }

  point(event) {
    const pfn = this.strip.pageAt(event.offsetX, event.offsetY);
    this.glow(pfn === undefined || this.strip.condensed ? null : this.scene.blockOf(pfn));
  }

  pick(event) {
    const pfn = this.strip.pageAt(event.offsetX, event.offsetY);
    if (pfn === undefined) return;
    if (this.strip.condensed) this.zoom(pfn);
    else this.follow(this.selected === pfn ? -1 : pfn);
  }

  /** Lights a block up in both orders. */
  glow(block) {
    if (this.hover?.pfn === block?.pfn) return;
    this.hover = block;
    this.canvas.title = block ? `${span(block)}: ${words(block)}` : "";
    this.draw();
    this.light();
  }

  // -- showing

  show() {
    const { frame } = this.scene;
    const operation = this.payload.operations.find(([, from, to]) => frame > from && frame <= to);
    const sentence = this.sentence();
    const first = operation && frame === operation[1] + 1;
    this.say.replaceChildren(...(operation ? [h("b", first ? {} : { "aria-hidden": "true" },
      operation[0]), h("br")] : []), sentence);
    this.controls.show(sentence);
    this.player.dataset.step = frame;
    this.showLists();
    this.showNumbers();
    this.steps.show(operation);
    this.showPlace();
    for (const pane of Object.values(this.panes)) pane.show();
    this.showText();
    this.draw();
    this.player.dataset.frame = frame;
    for (const pane of [this.steps, ...Object.values(this.panes)]) pane.scroll?.();
  }

  /** [sentence, marks, steps, code] of the step that was done last; undefined before the first. */
  now() {
    return this.payload.frames[this.scene.frame - 1];
  }

  sentence() {
    return this.now()?.[0] ?? (this.last ? "Before the first step." : "There is no step to show.");
  }

  /** Only rows that differ from what is shown are made anew. */
  showLists() {
    if (!this.rows) this.placeRows();
    this.rows.forEach(([row, key], n) => {
      const now = this.rowKey(n);
      if (now !== key) this.rows[n] = [this.replaceRow(row, n), now];
    });
    this.owners.forEach((owner) => owner.show());
    this.light();
  }

  placeRows() {
    const { lists, cpus } = this.payload;
    this.rows = lists.map((_, n) => [this.row(n), this.rowKey(n)]);
    const chosen = (test) => this.rows.filter((_, n) => test(lists[n])).map(([row]) => row);
    const free = this.freeRows();
    this.lists.replaceChildren(...(free.length ? free : ["none"]));
    this.owners = cpus.map((cpu, owner) =>
      new CpuPane(this.scene, cpu, chosen((list) => list.owner === owner)));
    this.cpus.replaceChildren(...this.owners.map((owner) => owner.element));
  }

  /** Rows of the free lists; of neighbours that are empty all the time, one line. */
  freeRows() {
    const { lists } = this.payload;
    const runs = [];
    lists.forEach(({ pcp, idle }, n) => {
      if (idle && lists[n - 1]?.idle) runs.at(-1).push(n);
      else if (!pcp) runs.push([n]);
    });
    return runs.map((run) => (run.length > 1 ? this.emptyRow(run) : this.rows[run[0]][0]));
  }

  emptyRow(run) {
    const [first, last] = [run[0], run.at(-1)].map((n) => this.payload.lists[n].order);
    return h("p", { class: "ms-empty" }, `Orders ${first} to ${last}: ${run.length} empty lists`);
  }

  rowKey(n) {
    const moved = this.marks().filter(([pfn]) => this.scene.where.get(pfn) === n);
    return `${this.list === n} ${this.scene.versions[n]} ${moved.map(([pfn]) => pfn)}`;
  }

  replaceRow(row, n) {
    const at = [...row.querySelectorAll("button")].indexOf(document.activeElement);
    const made = this.row(n);
    row.replaceWith(made);
    if (at >= 0) [...made.querySelectorAll("button")].slice(0, at + 1).at(-1).focus();
    return made;
  }

  /** One list: a button that joins its blocks in the pages, then the blocks. */
  row(n) {
    const pages = this.scene.lists[n];
    const { label, short, pcp, cpu } = this.payload.lists[n];
    const moved = this.marks().map(([pfn]) => pfn);
    const kind = pcp ? pcpClass(cpu) : "ms-free";
    const chips = pages.slice(0, CHIPS).map((pfn) => this.chip(pfn, kind, moved.includes(pfn)));
    const more = pages.length > CHIPS ? [h("li", {}, `and ${pages.length - CHIPS} more`)] : [];
    return h("div", { class: "ms-row" }, h("button", {
      type: "button", class: "ms-list", "aria-pressed": this.list === n, onclick: () => this.join(n),
      ...(pcp ? { "aria-label": label } : {}),
    }, short), h("ol", { "aria-label": `${label}, ${pages.length} blocks` }, ...chips, ...more));
  }

  chip(pfn, kind, moved) {
    const button = h("button", {
      type: "button", class: `ms-chip ${kind}${moved ? " ms-moved" : ""}`, "data-pfn": pfn,
      "aria-label": `pfn ${pfn}`, onclick: () => this.follow(this.selected === pfn ? -1 : pfn, true),
      onpointerenter: () => this.glow(this.scene.blockOf(pfn)),
      onpointerleave: () => this.glow(null),
    }, String(pfn));
    return h("li", {}, button);
  }

  /** Shows a list's order in the pages, or no longer. */
  join(list) {
    this.list = this.list === list ? -1 : list;
    this.showLists();
    this.draw();
  }

  showNumbers() {
    if (!this.counters.open) return;
    const changed = (this.now()?.[2] ?? [])
      .flatMap(([kind, field]) => (kind === FIELD ? [field] : []));
    this.numbers.replaceChildren(...this.payload.fields.flatMap(([label], n) => [
      h("li", {}, h(changed.includes(n) ? "mark" : "span", {}, `${label}: ${this.scene.fields[n]}`))]));
  }

  /** Where the followed page is now. */
  showPlace() {
    if (this.selected < 0) return this.place.replaceChildren();
    const block = this.scene.blockOf(this.selected);
    const list = block.list === undefined ? "" : this.placeIn(block);
    this.place.textContent = `is in ${span(block)}: ${words(block)}${list}${this.buddyOf(block)}`;
  }

  placeIn({ pfn, list }) {
    const pages = this.scene.lists[list];
    return `, number ${pages.indexOf(pfn) + 1} of ${pages.length} on ${this.payload.lists[list].label}`;
  }

  buddyOf({ pfn, order, count }) {
    const buddy = pfn ^ count;
    if (order < 0 || order >= 10 || buddy < this.scene.start || buddy >= this.scene.end) return "";
    const other = this.scene.blockOf(buddy);
    const same = other.pfn === buddy && other.order === order;
    return `; its buddy, pfn ${buddy}, is ${same ? words(other) : `not one block of order ${order}`}`;
  }

  showText() {
    if (!this.text.open) return;
    const panes = Object.values(this.panes).filter((pane) => pane.text);
    this.pre.textContent = sceneText(this.scene, panes.map((pane) => pane.text()));
  }

  marks() {
    return this.now()?.[1] ?? [];
  }

  light() {
    const lit = [this.hover?.pfn, this.selected < 0 ? -1 : this.scene.blockOf(this.selected).pfn];
    const none = !this.hover && this.selected < 0;
    if (none && !this.lit) return;
    this.lit = !none;
    for (const chip of this.player.querySelectorAll(".ms-chip")) {
      chip.classList.toggle("ms-lit", lit.includes(Number(chip.dataset.pfn)));
    }
  }

  draw() {
    const followed = this.selected < 0 ? [] : [[this.scene.blockOf(this.selected), false]];
    const hover = this.hover ? [[this.hover, true]] : [];
    this.strip.draw(this.marks(), {
      blocks: [...followed, ...hover], lists: this.list < 0 ? [] : [this.list] });
    this.showWindow();
  }

  /** The canvas in words. */
  describe() {
    const counts = KINDS.map(() => 0);
    for (const b of this.scene.blocks()) counts[b.kind]++;
    this.canvas.setAttribute("aria-label", `Pages in address order: ${counts.flatMap(
      (n, kind) => (n ? [`${n} ${LEGEND[kind]}`] : [])).join(", ")}. The text form has them all.`);
  }

  showWindow() {
    const [from, to] = this.strip.window;
    const all = this.scene.states.length;
    this.whole.hidden = to - from === all;
    this.note.textContent = this.strip.condensed
      ? `${all} pages are too many to draw one by one (at most ${MAX_PAGES}): each cell is ` +
        `${this.strip.perCell} pages, filled as they are. Choose a cell to see its pages.`
      : all > to - from ? `Shown: pfn ${from} to ${to - 1} of ${all} pages.` : "";
  }
}

/** The payload that a page of its own carries: base64 of gzip of JSON. See page.py. */
export async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

/** Shows a payload in an element, without a kernel. */
export function mount(root, payload, options) {
  return payload.machines ? new SideBySide(root, payload, options)
    : new Player(root, payload, options);
}

/** Shows a widget's payload; where the reader comes to rest goes back to Python. */
function render({ model, el }) {
  let player;
  const rest = (state) => {
    const { number } = model.get("payload");
    model.set("here", { ...model.get("here"), ...state, number });
    model.save_changes();
  };
  const start = () => {
    player?.destroy();
    player = mount(el, model.get("payload"), { rest });
    move();
  };
  const move = () => {
    const { number, step, selected, answers, address } = model.get("here");
    if (number !== model.get("payload").number) return; // of another payload; Python says it again
    if (player.players) return step === player.at || player.go(step);
    const { predict, vmalloc } = player.panes;
    const shown = () => [player.selected, vmalloc?.address, predict?.answers];
    const old = shown();
    player.selected = selected;
    player.input.value = selected < 0 ? "" : selected;
    if (predict) predict.answers = answers;
    if (vmalloc) vmalloc.address = address;
    if (step !== player.scene.frame) player.go(step);
    else if (shown().some((value, n) => value !== old[n])) player.show();
  };
  model.on("change:payload", start);
  model.on("change:here", move);
  start();
  return () => {
    player.destroy();
    model.off("change:payload", start);
    model.off("change:here", move);
  };
}

export default { render };
