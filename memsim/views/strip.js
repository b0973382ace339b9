// Address order: the pages on a canvas. See scene.js for how the files become one.

/** Draws the pages of a window, one rectangle a block: rows hold 2**n pages, so it is one. */
class Strip {
  constructor(canvas, scene) {
    Object.assign(this, { canvas, scene, window: [scene.start, scene.end], stale: true });
    this.typed = new Set(scene.payload.lists.map((list) => list.type)).size > 1;
  }

  get pages() {
    return this.window[1] - this.window[0];
  }

  get condensed() {
    return this.pages > MAX_PAGES;
  }

  /** Shows single pages around a pfn; without one, everything. */
  zoom(pfn) {
    const { start, end } = this.scene;
    const from = Math.floor(pfn / MAX_PAGES) * MAX_PAGES;
    this.stale = true;
    this.window = pfn === undefined ? [start, end]
      : [Math.max(start, from), Math.min(end, from + MAX_PAGES)];
  }

  layout() {
    const width = Math.max(this.canvas.parentElement.clientWidth, 120);
    this.perCell = this.condensed ? 2 ** Math.ceil(Math.log2(this.pages / 2048)) : 1;
    const cells = Math.ceil(this.pages / this.perCell);
    this.gutter = Math.min(64, 14 + 7 * String(this.window[1]).length);
    const least = cells <= 64 ? 9 : cells <= 1024 ? 8 : 5;
    this.row = 2 ** Math.floor(Math.log2((width - this.gutter) / least));
    this.row = Math.min(this.row, cells <= 1024 ? 64 : 128);
    this.top = Math.floor(this.window[0] / this.perCell / this.row);
    this.rows = Math.ceil(this.window[1] / this.perCell / this.row) - this.top;
    this.cw = (width - this.gutter - 4) / this.row;
    this.ch = Math.min(Math.max(Math.floor(300 / this.rows), 8), 46);
    this.size(width, this.rows * this.ch + 4);
  }

  size(width, height) {
    const ratio = globalThis.devicePixelRatio || 1;
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== w || this.canvas.height !== h) {
      Object.assign(this.canvas, { width: w, height: h });
      this.canvas.style.height = `${height}px`;
    }
    this.g = this.canvas.getContext("2d");
    this.g.setTransform(ratio, 0, 0, ratio, 0, 0);
  }

  /** Where 2**n aligned pages are: [x, y, width, height]. */
  rect(pfn, count) {
    const at = Math.floor(pfn / this.perCell) - this.top * this.row;
    const cells = Math.max(1, count / this.perCell);
    const [x, y] = [at % this.row, Math.floor(at / this.row)];
    return [
      this.gutter + x * this.cw, 2 + y * this.ch,
      Math.min(cells, this.row) * this.cw, Math.max(1, cells / this.row) * this.ch,
    ];
  }

  /** The page under a point of the canvas; undefined outside. */
  pageAt(x, y) {
    const [cx, cy] = [Math.floor((x - this.gutter) / this.cw), Math.floor((y - 2) / this.ch)];
    if (cx < 0 || cx >= this.row || cy < 0 || cy >= this.rows) return undefined;
    const pfn = ((this.top + cy) * this.row + cx) * this.perCell;
    return pfn >= this.window[0] && pfn < this.window[1] ? pfn : undefined;
  }

  /** Pages on a canvas of their own, of which only what changed is drawn again; marks above it. */
  draw(marks, lit) {
    const changed = this.stale ? this.begin() : [...this.scene.changed].map((at) => this.unitOf(at));
    const front = this.g;
    this.g = this.back;
    for (const unit of new Set(changed)) this.drawUnit(unit * this.unit, (unit + 1) * this.unit);
    this.scene.changed.clear();
    this.g = front;
    front.save();
    front.resetTransform();
    front.clearRect(0, 0, this.canvas.width, this.canvas.height);
    front.drawImage(this.base, 0, 0);
    front.restore();
    if (!this.condensed) lit.lists.forEach((n) => this.drawList(n));
    for (const [pfn, count, role] of marks) this.drawMark(pfn, count, role);
    for (const [b, dashed] of lit.blocks) this.outline(b.pfn, b.count, this.color.lit, 3, dashed);
  }

  /** Other pages, another size or other colours: everything is drawn again. The units to draw. */
  begin() {
    this.stale = false;
    this.layout();
    this.style();
    const { width, height } = this.canvas;
    this.base = Object.assign(document.createElement("canvas"), { width, height });
    this.back = this.base.getContext("2d");
    this.back.setTransform(this.g.getTransform());
    Object.assign(this.back, { font: this.g.font, textBaseline: "middle" });
    this.tiles = new Map();
    this.unit = Math.max(1024, this.perCell); // no block reaches across a multiple of it
    this.rowLabels(this.back);
    const [first, last] = [this.window[0], this.window[1] - 1].map((p) => Math.floor(p / this.unit));
    return Array.from({ length: last - first + 1 }, (_, n) => first + n);
  }

  unitOf(region) {
    return Math.floor((region * 1024) / this.unit);
  }

  drawUnit(first, last) {
    const [from, to] = [Math.max(first, this.window[0]), Math.min(last, this.window[1])];
    if (from >= to) return;
    for (const [pfn, count] of aligned(from, to - from)) {
      const [x, y, w, h] = this.rect(pfn, count);
      this.g.clearRect(x, y, w, h);
    }
    const blocks = [...this.scene.blocks(from, to)].map((b) =>
      ({ ...b, count: Math.min(b.count, to - b.pfn) }));
    if (this.condensed) this.drawCells(blocks);
    else for (const b of blocks) this.drawBlock(b);
  }

  style() {
    const css = getComputedStyle(this.canvas);
    const get = (name) => css.getPropertyValue(`--ms-${name}`).trim();
    const names = [...KINDS, "ink", "on-allocated", "on-reserved", "text", "line", "mark", "lit", "back"];
    this.color = Object.fromEntries(names.map((name) => [name, get(name)]));
    this.g.font = `12px ${css.fontFamily}`;
    this.g.textBaseline = "middle";
  }

  rowLabels(g) {
    Object.assign(g, { fillStyle: this.color.text, textAlign: "right" });
    const every = Math.ceil(14 / this.ch);
    for (let y = 0; y < this.rows; y += every) {
      const pfn = Math.max((this.top + y) * this.row * this.perCell, this.window[0]);
      g.fillText(pfn, this.gutter - 6, 2 + (y + 0.5) * this.ch);
    }
  }

  drawBlock(b) {
    for (const [pfn, count] of aligned(b.pfn, b.count)) {
      const [x, y, w, h] = this.rect(pfn, count);
      this.fill(b, x, y, w, h);
      this.g.strokeStyle = this.color.line;
      this.g.lineWidth = 1;
      this.g.setLineDash(b.kind === NONE ? [3, 3] : []);
      this.g.strokeRect(x + 0.5, y + 0.5, w - 1, h - 1);
      this.g.setLineDash([]);
      if (this.ch >= 24) this.ticks(x, y, w, h);
      if (this.ch >= 14) this.label(b, x, y, w, h);
    }
  }

  /** A short line between pages. */
  ticks(x, y, w, h) {
    this.g.beginPath();
    for (let at = x + this.cw; at < x + w - 1; at += this.cw) {
      this.g.moveTo(Math.round(at) + 0.5, y + h - 5);
      this.g.lineTo(Math.round(at) + 0.5, y + h);
    }
    this.g.stroke();
  }

  /** The colour of a kind, and a pattern, so that nothing hangs on the colour. */
  fill({ kind, cpu }, x, y, w, h) {
    this.g.fillStyle = kind === FREE || kind === NONE ? this.color[KINDS[kind]]
      : this.tile(kind, kind === PCP && cpu % 2);
    this.g.fillRect(x, y, w, h);
  }

  /** A kind's hatching, made once: 6 pixels square, over and over. */
  tile(kind, odd) {
    const key = `${kind}${odd ? "odd" : ""}`;
    if (this.tiles.has(key)) return this.tiles.get(key);
    const ratio = this.g.getTransform().a;
    const size = Math.max(1, Math.round(6 * ratio));
    const canvas = Object.assign(document.createElement("canvas"), { width: size, height: size });
    const g = canvas.getContext("2d");
    g.scale(size / 6, size / 6);
    g.fillStyle = this.color[KINDS[kind]];
    g.fillRect(0, 0, 6, 6);
    Object.assign(g, { strokeStyle: odd ? this.color.ink : this.color.back, globalAlpha: 0.45 });
    this.hatch(g, kind, odd);
    const tile = this.g.createPattern(canvas, "repeat");
    tile.setTransform(new DOMMatrix().scale(6 / size));
    this.tiles.set(key, tile);
    return tile;
  }

  /** Upright for pages of CPUs 0, 2, …, level for those of CPUs 1, 3, …; slanting; crossed. */
  hatch(g, kind, odd) {
    g.beginPath();
    if (kind === PCP) odd ? (g.moveTo(0, 3.5), g.lineTo(6, 3.5)) : (g.moveTo(3.5, 0), g.lineTo(3.5, 3));
    else {
      for (const d of [-6, 0, 6]) g.moveTo(d, 6), g.lineTo(d + 6, 0);
      if (kind === RESERVED) for (const d of [-6, 0, 6]) g.moveTo(d, 0), g.lineTo(d + 6, 6);
    }
    g.stroke();
  }

  label(b, x, y, w, h) {
    const g = this.g;
    const type = this.typed && b.type ? ` ${b.type[0]}` : ""; // U, M, R: only where types mix
    const texts = b.order < 0 ? [`pfn ${b.pfn}, ${LEGEND[b.kind]}`, LEGEND[b.kind], "?"]
      : b.kind === PCP ? [`pfn ${b.pfn}, CPU ${b.cpu}${type}`, `CPU ${b.cpu}${type}`, `c${b.cpu}`]
      : [`pfn ${b.pfn}, order ${b.order}${type}`, `order ${b.order}${type}`, `${b.order}`];
    const text = texts.find((t) => g.measureText(t).width + 6 <= w);
    if (!text) return;
    g.textAlign = "center";
    const [cx, cy] = [x + w / 2, y + h / 2 + 1];
    if (b.kind !== FREE) {
      const half = g.measureText(text).width / 2 + 2;
      g.fillStyle = this.color[KINDS[b.kind]];
      g.fillRect(cx - half, cy - 8, 2 * half, 14);
    }
    const ink = { [ALLOCATED]: "on-allocated", [RESERVED]: "on-reserved" }[b.kind] ?? "ink";
    g.fillStyle = this.color[ink];
    g.fillText(text, cx, cy);
  }

  outline(pfn, count, color, width, dashed) {
    this.g.setLineDash(dashed ? [6, 4] : []);
    for (const [start, nr] of aligned(pfn, count)) {
      if (start + nr <= this.window[0] || start >= this.window[1]) continue;
      const [x, y, w, h] = this.rect(start, nr);
      Object.assign(this.g, { strokeStyle: color, lineWidth: width });
      const inset = Math.min(width / 2, (Math.min(w, h) - 13) / 2); // a small block's grows outwards
      this.g.strokeRect(x + inset, y + inset, w - 2 * inset, h - 2 * inset);
    }
    this.g.setLineDash([]);
  }

  drawMark(pfn, count, role) {
    if (pfn + count <= this.window[0] || pfn >= this.window[1]) return;
    this.outline(pfn, count, this.color.mark, 3, role === "buddy");
    if (role === "split") this.outline(pfn, count / 2, this.color.mark, 2, true);
  }

  /** Joins the blocks of a list, head to tail. */
  drawList(list) {
    const g = this.g;
    const shown = this.scene.lists[list].filter((p) => p >= this.window[0] && p < this.window[1]);
    const count = 1 << this.scene.payload.lists[list].order;
    Object.assign(g, { strokeStyle: this.color.lit, fillStyle: this.color.lit, lineWidth: 2 });
    g.beginPath();
    shown.forEach((pfn, i) => {
      const [x, y, w, h] = this.rect(pfn, count);
      const at = [x + w / 2, y + h - Math.min(h / 4, 6)];
      i ? g.lineTo(...at) : g.moveTo(...at);
      g.fillRect(at[0] - (i ? 3 : 5), at[1] - (i ? 3 : 5), i ? 6 : 10, i ? 6 : 10);
    });
    g.stroke();
    for (const pfn of shown) this.outline(pfn, count, this.color.lit, 2);
  }

  /** Condensed: each cell is filled from below as far as its pages are not free. */
  drawCells(blocks) {
    const cells = new Map();
    for (const b of blocks) {
      for (let pfn = b.pfn, left = b.count; left > 0; ) {
        const cell = Math.floor(pfn / this.perCell);
        const part = Math.min(left, (cell + 1) * this.perCell - pfn);
        if (!cells.has(cell)) cells.set(cell, [0, 0, 0, 0, 0]);
        cells.get(cell)[b.kind] += part;
        [pfn, left] = [pfn + part, left - part];
      }
    }
    for (const [cell, counts] of cells) this.drawCell(cell * this.perCell, counts);
  }

  drawCell(pfn, counts) {
    let [x, y, w, h] = this.rect(pfn, this.perCell);
    counts.forEach((count, kind) => {
      const part = (h * count) / this.perCell;
      this.g.fillStyle = this.color[KINDS[kind]];
      this.g.fillRect(x, y, w - 0.5, part);
      y += part;
    });
  }
}

/** A run of pages as the largest aligned powers of two: [[pfn, count], ...]. */
function aligned(pfn, count) {
  const parts = [];
  while (count > 0) {
    const most = 2 ** Math.floor(Math.log2(count));
    const fits = pfn ? Math.min(pfn & -pfn, most) : most;
    parts.push([pfn, fits]);
    [pfn, count] = [pfn + fits, count - fits];
  }
  return parts;
}
