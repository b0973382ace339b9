// Sliders of ipywidgets have their name beside them, not on them, and one that chooses among words
// gives a screen reader a number. This element, in the box of the sliders, tells name and words.
// And arrow keys in a list are the list's own: JupyterLab would take them for moves between cells.

const NAMES = "memsim-names";

class Names extends HTMLElement {
  connectedCallback() {
    const box = this.closest(".jp-OutputArea-output") ?? this.getRootNode();
    this.watch = new MutationObserver(() => nameAll(box));
    this.watch.observe(box, { childList: true, subtree: true, characterData: true,
      attributeFilter: ["aria-valuenow"] });
    nameAll(box);
  }

  disconnectedCallback() {
    this.watch.disconnect();
  }
}

function nameAll(box) {
  for (const list of box.querySelectorAll(".jupyter-widgets select")) {
    list.setAttribute("data-lm-suppress-shortcuts", "true");
  }
  for (const row of box.querySelectorAll(".widget-slider")) {
    const name = row.querySelector(".widget-label")?.textContent;
    const [handle, readout] = [".noUi-handle", ".widget-readout"].map((c) => row.querySelector(c));
    if (!name || !handle) continue;
    handle.setAttribute("aria-label", name);
    if (!readout?.textContent) continue;
    handle.setAttribute("aria-valuetext", readout.textContent);
    if (!readout.isContentEditable) continue;
    readout.setAttribute("role", "textbox");
    readout.setAttribute("aria-label", `${name}, typed`);
  }
}

if (!customElements.get(NAMES)) customElements.define(NAMES, Names);

export default {
  render({ el }) {
    el.hidden = true;
    el.append(document.createElement(NAMES));
  },
};
