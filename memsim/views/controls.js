// Slider, buttons, keys and speed: what moves a player, or two. See scene.js for how the files
// become one.

/** Moves its owner, which has `at`, `last`, move(step), and `say`, where steps are announced. */
class Controls {
  constructor(owner) {
    this.owner = owner;
    const button = (name, label, to) =>
      h("button", { type: "button", "aria-label": name, title: name, onclick: to }, label);
    this.slider = h("input", {
      type: "range", min: 0, max: owner.last, "aria-label": "Step",
      oninput: () => this.go(Number(this.slider.value)),
    });
    this.playButton = button("Play", "Play", () => this.toggle());
    this.playButton.removeAttribute("title");
    this.count = h("span", { class: "ms-count" });
    this.speed = h("select", { "aria-label": "Speed, steps a second" }, ...[0.5, 1, 2, 4, 8].map(
      (n) => h("option", { value: n, ...(n === 1 ? { selected: "" } : {}) }, `${n}/s`)));
    this.element = h("div", { class: "ms-controls" },
      button("First step", "⇤", () => this.go(0)),
      button("One step back", "←", () => this.go(owner.at - 1)), this.playButton,
      button("One step forwards", "→", () => this.go(owner.at + 1)),
      button("Last step", "⇥", () => this.go(owner.last)), this.slider, this.count, this.speed);
  }

  /** Where the owner is now, and what happened there. */
  show(sentence) {
    const { at, last } = this.owner;
    this.slider.value = at;
    this.slider.setAttribute("aria-valuetext", `step ${at} of ${last}: ${sentence}`);
    this.count.textContent = `step ${at} of ${last}`;
  }

  go(step) {
    this.pause();
    this.owner.move(step);
  }

  toggle() {
    if (this.timer) return this.pause();
    if (this.owner.at === this.owner.last) this.go(0);
    this.setPlaying("Pause", "off");
    const tick = () => {
      const before = this.owner.at;
      this.owner.move(before + 1);
      if ([before, this.owner.last].includes(this.owner.at)) return this.pause();
      this.timer = setTimeout(tick, 1000 / Number(this.speed.value));
    };
    this.timer = setTimeout(tick, 1);
  }

  pause() {
    if (!this.timer) return;
    clearTimeout(this.timer);
    this.timer = null;
    this.setPlaying("Play", "polite");
  }

  setPlaying(name, live) {
    this.playButton.textContent = name;
    this.playButton.setAttribute("aria-label", name);
    this.owner.say.setAttribute("aria-live", live); // a voice cannot keep up with a film
  }

  /** Arrows, Home, End and Space; true if the key was one of them and nobody types. */
  key(event) {
    const { at, last } = this.owner;
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last }[event.key];
    const typing = event.target.matches("input:not([type=range]), select");
    if (typing || event.ctrlKey || event.altKey || event.metaKey) return false;
    if (to !== undefined) this.go(to);
    else if (event.key === " " && !event.target.closest("button, summary")) this.toggle();
    else return false;
    event.preventDefault();
    return true;
  }
}
