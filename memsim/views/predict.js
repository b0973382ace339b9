// Predict: the outcome of the next operation is hidden until it has been predicted. Questions are
// made in predict.py. See scene.js for how the files become one.

class PredictPane {
  static side = "top";

  constructor(player) {
    Object.assign(this, { player, on: true, answers: {}, asked: -1 });
    this.questions = player.payload.questions;
    this.toggle = h("button", { type: "button", "aria-pressed": true, onclick: () => this.turn() },
      "Predict");
    this.score = h("span", { class: "ms-score" });
    this.question = h("div", { class: "ms-question", "aria-live": "polite" });
    this.verdict = h("p", { class: "ms-verdict", role: "status" });
    this.element = h("div", { class: "ms-predict", role: "group", "aria-label": "Predict" },
      this.toggle, this.score, this.question, this.verdict);
  }

  /** Is there a question to this operation that nobody has answered yet? */
  hides(n) {
    return this.on && !!this.questions[n] && this.answers[n] === undefined;
  }

  /** As far as one may go: to where the first unanswered operation begins. */
  limit(frame) {
    const open = this.player.payload.operations.findIndex((_, n) => this.hides(n));
    return open < 0 ? frame : Math.min(frame, this.player.payload.operations[open][1]);
  }

  /** The operation that is asked about at this place; -1 for none. */
  get open() {
    const { operations } = this.player.payload;
    return operations.findIndex(([, from], n) => from === this.player.scene.frame && this.hides(n));
  }

  turn() {
    this.on = !this.on;
    this.toggle.setAttribute("aria-pressed", this.on);
    this.player.go(this.player.scene.frame);
  }

  show() {
    const given = Object.entries(this.answers).filter(([n]) => this.questions[n]);
    const right = given.filter(([n, choice]) => this.questions[n][3] === choice).length;
    this.score.textContent = `${right} of ${given.length} right, ` +
      `${this.questions.filter(Boolean).length} to predict`;
    if (this.asked === this.open) return;
    this.asked = this.open;
    this.question.replaceChildren(...(this.asked < 0 ? [] : this.ask(this.questions[this.asked])));
    if (this.asked >= 0) this.verdict.textContent = "";
  }

  ask([name, question, choices]) {
    return [h("p", {}, h("b", {}, name), ` is next. ${question}`),
      h("div", { class: "ms-choices", role: "group", "aria-label": question },
        ...choices.map((text, n) => h("button", { type: "button", onclick: () => this.answer(n) },
          h("kbd", { "aria-hidden": "true" }, String(n + 1)), ` ${text}`)))];
  }

  answer(choice) {
    const [, , choices, right, because] = this.questions[this.asked];
    const head = choice === right ? "Right" : `Not so: you predicted ${choices[choice]}`;
    this.answers = { ...this.answers, [this.asked]: choice };
    this.player.player.focus();
    this.player.move(this.player.scene.frame);
    this.verdict.textContent = `${head}. It is: ${choices[right]}. ${because}.`;
  }

  /** A number chooses; true if it did. */
  key(key) {
    const choice = Number(key) - 1;
    if (this.asked < 0 || !(choice in this.questions[this.asked][2])) return false;
    this.answer(choice);
    return true;
  }
}
