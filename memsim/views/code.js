// The code pane: the function that a step came from, its line lit, and who called it. See scene.js
// for how the files become one.

/** Source as it ran; the reader can go from a function to those that called it. */
class CodePane {
  static side = "right";

  constructor(player) {
    Object.assign(this, { player, data: player.payload.code, at: null });
    this.where = h("p", { class: "ms-where" });
    this.trail = h("ol", { class: "ms-trail", "aria-label": "Who called, outermost first" });
    this.lines = h("pre", { class: "ms-lines", tabindex: 0, role: "group" });
    this.element = h("div", { class: "ms-code", role: "group", "aria-label": "Code" },
      h("p", { class: "ms-head" }, "Code of this step"), this.trail, this.where, this.lines);
  }

  show() {
    const [chain, shown] = this.player.now()?.[3] ?? [-1, 0];
    const same = this.last?.[0] === chain && this.last[1] === shown;
    this.last = [chain, shown];
    if (same && chain >= 0) return;
    this.chain = chain < 0 ? [] : pairs(this.data.chains[chain]);
    this.element.classList.toggle("ms-nobody", !this.chain.length);
    this.showTrail(shown);
    this.showFunction(shown);
  }

  showTrail(shown) {
    const names = this.chain.map(([n]) => this.data.functions[n][0]);
    const focused = [...this.trail.querySelectorAll("button")].includes(document.activeElement);
    this.trail.replaceChildren(...names.map((name, n) => h("li", {}, h("button", {
      type: "button", "aria-pressed": n === shown, onclick: () => this.choose(n),
    }, `${name}()`))).reverse());
    if (focused) this.trail.querySelector("[aria-pressed=true]")?.focus({ preventScroll: true });
  }

  choose(n) {
    this.last = undefined; // the next step shows its own function again
    this.showTrail(n);
    this.showFunction(n);
    this.scroll();
  }

  showFunction(n) {
    if (!this.chain.length) {
      this.where.textContent = this.player.scene.frame ? "It is not known which code this is from."
        : "No code has run yet.";
      this.lines.setAttribute("aria-label", this.where.textContent);
      this.at = undefined; // its lines are gone, also for the next step of the same function
      return this.lines.replaceChildren();
    }
    const [number, line] = this.chain[n];
    const [name, file, first, text] = this.data.functions[number];
    this.where.textContent = `${file}, line ${line}`;
    this.lines.setAttribute("aria-label", `Source of ${name}(), ${file}; line ${line} is lit: ` +
      text.split("\n")[line - first].trim());
    if (this.at !== number) this.fill(number, first, text);
    this.lines.querySelector(".ms-line-lit")?.classList.remove("ms-line-lit");
    this.lit = this.lines.children[line - first];
    this.lit.classList.add("ms-line-lit");
  }

  /** The lit line into view; reads the layout, so it comes last. */
  scroll() {
    if (!this.lit || !this.chain.length) return;
    const { clientHeight, scrollTop } = this.lines;
    const y = this.lit.offsetTop; // within the <pre>, which is positioned
    if (y < scrollTop || y > scrollTop + clientHeight - 2 * this.lit.offsetHeight) {
      this.lines.scrollTop = y - clientHeight / 2;
    }
  }

  fill(number, first, text) {
    this.at = number;
    this.lines.replaceChildren(...text.trimEnd().split("\n").map((line, n) =>
      h("span", { "data-line": first + n }, `${line}\n`)));
  }
}

/** [a, b, c, d] as [[a, b], [c, d]]. */
function pairs(flat) {
  return flat.flatMap((value, n) => (n % 2 ? [] : [[value, flat[n + 1]]]));
}
