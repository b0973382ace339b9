// Two machines side by side, stepped together: operation by operation, and within one step by
// step; the shorter one waits. See scene.js for how the files become one.

class SideBySide {
  constructor(root, payload, { rest = () => {} } = {}) {
    Object.assign(this, { root, payload, rest, at: 0, last: payload.stops.length - 1 });
    this.say = h("p", { class: "ms-say", "aria-live": "polite" });
    this.controls = new Controls(this);
    this.badge = h("p", { class: "ms-badge" });
    const places = payload.machines.map(() => h("div", {}));
    this.players = payload.machines.map((machine, n) => new Player(places[n], machine,
      { rest: ({ selected }) => this.follow(selected), seek: (frame) => this.seek(n, frame) }));
    this.element = h("section", {
      class: "memsim-player ms-side", tabindex: 0, "data-lm-suppress-shortcuts": "true",
      "aria-label": `Two machines: ${payload.machines.map(({ title }) => title).join(", ")}`,
      onkeydown: (event) => this.controls.key(event),
    }, ...(payload.title ? [h("p", { class: "ms-title" }, payload.title)] : []),
    this.controls.element, this.buildDifference(), this.say, h("div", { class: "ms-two" }, ...places),
    h("p", { class: "ms-keys" }, KEYS));
    this.element.memsim = this;
    root.replaceChildren(this.element);
    this.show();
  }

  buildDifference() {
    const { first } = this.payload;
    const go = h("button", { type: "button", onclick: () => this.go(first) },
      `Go to the first difference, step ${first}`);
    return h("div", { class: "ms-follow" }, ...(first < 0 ? ["No step differs."] : [go]), this.badge);
  }

  destroy() {
    this.controls.pause();
    this.players.forEach((player) => player.destroy());
  }

  go(step) {
    this.controls.go(step);
  }

  /** To where machine n shows this frame. */
  seek(n, frame) {
    this.go(this.payload.stops.findIndex((stop) => stop[n] === frame));
  }

  move(step) {
    this.at = Math.min(Math.max(step, 0), this.last);
    this.show();
    this.rest({ step: this.at });
  }

  /** What is followed in one machine is followed in the other. */
  follow(pfn) {
    for (const player of this.players) if (player.selected !== pfn) player.follow(pfn, true);
  }

  show() {
    const stop = this.payload.stops[this.at];
    const waits = stop.map((frame, n) => this.at > 0 && frame === this.payload.stops[this.at - 1][n]);
    this.players.forEach((player, n) => {
      player.scene.go(stop[n]);
      player.show();
    });
    const told = this.players.map((player, n) => `${player.payload.title}: ${
      waits[n] ? "nothing more in this operation" : player.sentence()}`);
    this.say.replaceChildren(told[0], h("br"), told[1]);
    this.controls.show(told.join("; "));
    const { first } = this.payload;
    const here = this.at === first;
    this.badge.textContent = here ? "This is the first difference."
      : first >= 0 && this.at > first ? `They have differed since step ${first}.` : "";
    this.element.classList.toggle("ms-differs", here);
    this.element.dataset.step = this.at;
  }
}
