// The player's state and its text form: no drawing, no page.
//
// player.py joins the files that it lists as MODULES, in that order, to one ES module. It is given a
// payload (payload.py says what is in it) and asks nobody for more: no kernel, no network.

const [LIST_ADD, LIST_DEL, PAGES, , FIELD] = [0, 1, 2, 3, 4]; // as in memsim/trace/steps.py
const CELL = 8; // views/cells.py
const [PG_BUDDY, PG_INUSE, PG_LRU, PG_ORDER] = [0x10, 0x20, 0x80, 0x0f]; // mm/mmzone.py
const KINDS = ["free", "pcp", "allocated", "none", "reserved"];
const [FREE, PCP, ALLOCATED, NONE, RESERVED] = [0, 1, 2, 3, 4];
const LEGEND = ["free", "on a pcp list", "allocated", "on no list", "reserved"];
const MAX_PAGES = 4096; // drawn one by one; more than these are condensed
const CHIPS = 48; // blocks of one list that are shown

/** Lists and pages of one machine, stepped both ways. The same as Scene in scene.py. */
export class Scene {
  constructor(payload) {
    const { start, end, states, lists, fields } = payload;
    Object.assign(this, { payload, start, end, frame: 0 });
    this.changed = new Set(); // of 1,024 pages each: what has to be drawn again
    this.states = new Uint8Array(end - start);
    for (const [at, count, state] of states) this.states.fill(state, at, at + count);
    this.lists = lists.map((list) => list.pages.slice());
    this.versions = lists.map(() => 0); // counted up whenever a list changes
    this.fields = fields.map(([, value]) => value);
    this.cells = payload.cells.slice();
    this.where = new Map(); // pfn -> number of its list
    this.lists.forEach((pages, n) => pages.forEach((pfn) => this.where.set(pfn, n)));
    this.reserved = new Uint8Array(end - start);
    for (const b of this.blocks()) {
      if (b.kind === NONE) this.reserved.fill(1, b.pfn - start, b.pfn - start + b.count);
    }
  }

  get last() {
    return this.payload.frames.length;
  }

  /** Goes to a frame, either way, step by step. */
  go(frame) {
    const to = Math.min(Math.max(frame, 0), this.last);
    while (this.frame < to) this.payload.frames[this.frame++][2].forEach((s) => this.apply(s, 1));
    while (this.frame > to) {
      for (const s of this.payload.frames[--this.frame][2].slice().reverse()) this.apply(s, 0);
    }
  }

  /** One step; forwards if `on`, else backwards. */
  apply([kind, a, b, c, d, e], on) {
    if (kind === LIST_ADD) on ? this.insert(a, b, c, e) : this.remove(a, b, d);
    else if (kind === LIST_DEL) on ? this.remove(a, b, e) : this.insert(a, b, c, d);
    else if (kind === PAGES) this.fill(a, b, on ? d : c);
    else if (kind === FIELD) this.fields[a] = on ? c : b;
    else if (kind === CELL) this.cells[a] = on ? c : b;
  }

  fill(pfn, count, state) {
    this.states.fill(state, pfn - this.start, pfn - this.start + count);
    for (let at = pfn >>> 10; at <= (pfn + count - 1) >>> 10; at++) this.changed.add(at);
  }

  insert(list, pfn, after, state) {
    const pages = this.lists[list];
    this.versions[list]++;
    pages.splice(after < 0 ? 0 : pages.indexOf(after) + 1, 0, pfn);
    this.where.set(pfn, list);
    this.fill(pfn, 1, state);
  }

  remove(list, pfn, state) {
    const pages = this.lists[list];
    this.versions[list]++;
    pages.splice(pages.indexOf(pfn), 1);
    this.where.delete(pfn);
    this.fill(pfn, 1, state);
  }

  /** The blocks from `from` (the start of one) to before `to`, in address order. */
  *blocks(from = this.start, to = this.end) {
    for (let pfn = from; pfn < to; ) {
      const block = this.blockAt(pfn);
      yield block;
      pfn += block.count;
    }
  }

  blockAt(pfn) {
    const state = this.states[pfn - this.start];
    const list = this.where.get(pfn);
    if (list !== undefined) {
      const { order, pcp, type, cpu } = this.payload.lists[list];
      return { pfn, count: 1 << order, kind: pcp ? PCP : FREE, order, type, list, cpu };
    }
    if (state & PG_INUSE) {
      const order = state & PG_ORDER;
      return { pfn, count: 1 << order, kind: ALLOCATED, order, lru: state & PG_LRU };
    }
    return this.gap(pfn);
  }

  /** Pages that belong to nobody on any list: in the hands of running code, or reserved. */
  gap(pfn) {
    const at = pfn - this.start;
    const reserved = this.reserved?.[at] ?? 0;
    let end = at + 1;
    while (end < this.states.length && !this.states[end] && !this.where.has(end + this.start) &&
      (this.reserved?.[end] ?? 0) === reserved) end++;
    return { pfn, count: end - at, kind: reserved ? RESERVED : NONE, order: -1 };
  }

  /** The block that holds a page. No block reaches across a multiple of 1024. */
  blockOf(pfn) {
    for (const b of this.blocks(Math.max(this.start, pfn & ~1023))) {
      if (b.pfn + b.count > pfn) return b;
    }
  }
}

function words(b) {
  const order = `, order ${b.order}`;
  if (b.kind === FREE) return `free${order}, ${b.type}`;
  if (b.kind === PCP) return `on a pcp list of CPU ${b.cpu}${order}, ${b.type}`;
  if (b.kind === ALLOCATED) return `allocated${order}${b.lru ? ", on an LRU list" : ""}`;
  return LEGEND[b.kind];
}

const span = (b) => (b.count > 1 ? `pfn ${b.pfn} to ${b.pfn + b.count - 1}` : `pfn ${b.pfn}`);

function cut(lines, most) {
  const more = lines.length - most;
  return more <= 0 ? lines : [...lines.slice(0, most), `  and ${more} more lines`];
}

/** The same text as memsim/views/text.py scene_text(); `more` are the panes' [title, lines]. */
export function sceneText(scene, more = []) {
  const { max_lines, max_list, lists } = scene.payload;
  const runs = [];
  for (const b of scene.blocks()) {
    const run = runs.at(-1);
    if (run?.words === words(b)) Object.assign(run, { end: b.pfn + b.count, n: run.n + 1 });
    else runs.push({ pfn: b.pfn, end: b.pfn + b.count, words: words(b), n: 1 });
  }
  const address = runs.map((r) => `  ${span({ pfn: r.pfn, count: r.end - r.pfn })}: ${r.words}` +
    (r.n > 1 ? ` (${r.n} blocks)` : ""));
  const listed = (n) => {
    const pages = scene.lists[n];
    const more = pages.length > max_list ? ` and ${pages.length - max_list} more` : "";
    return `${pages.slice(0, max_list).join(" ")}${more}`;
  };
  const used = [...lists.keys()].filter((n) => scene.lists[n].length);
  const free = used.filter((n) => !lists[n].pcp).map((n) => `  ${lists[n].label}: ${listed(n)}`);
  const pcp = scene.payload.cpus.flatMap((cpu, owner) => {
    const own = used.filter((n) => lists[n].owner === owner);
    return own.length ? [`  ${cpuText(scene, cpu)}`,
      ...own.map((n) => `    ${lists[n].short}: ${listed(n)}`)] : [];
  });
  const parts = [["Address order", address],
    ["List order, head first", free.length ? free : ["  all empty"]],
    ["Lists of each CPU, head first", pcp], ...more];
  return parts.flatMap(([title, lines]) => (lines.length ? [title, ...cut(lines, max_lines)] : []))
    .join("\n");
}

/** A CPU's numbers: "CPU 0: count 3, high 12, batch 3". */
function cpuText(scene, { label, fields }) {
  const [count, high, batch] = fields.map((n) => scene.fields[n]);
  return `${label}: count ${count}, high ${high}, batch ${batch}`;
}
