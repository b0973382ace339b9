// Starts reveal.js. Where that cannot run, the page stays what it is on paper: slide under slide.

(function () {
  "use strict";
  var body = document.body;

  // Text and programs in the largest of these sizes with which a slide holds them all.
  var SIZES = [[28, 24], [28, 22], [28, 20], [28, 18], [26, 18], [26, 16], [24, 16], [24, 15], [22, 14]];

  function fits(page) {
    var wide = [].slice.call(page.querySelectorAll("pre, .table")).every(function (part) {
      return part.scrollWidth <= part.clientWidth + 1;
    });
    return wide && page.scrollHeight <= page.clientHeight;
  }

  function fit(page) {
    var done = SIZES.some(function (sizes) {
      page.style.setProperty("--text-size", sizes[0] + "px");
      page.style.setProperty("--program-size", sizes[1] + "px");
      return fits(page);
    });
    if (!done && !page.classList.contains("wrap")) {
      page.classList.add("wrap");
      fit(page);
    }
  }

  [].slice.call(document.querySelectorAll(".page")).forEach(fit);
  if (!window.Reveal || !window.RevealNotes) return;
  document.getElementById("reveal").media = "screen";
  document.documentElement.classList.add("deck");
  Reveal.initialize({
    width: Number(body.dataset.width), height: Number(body.dataset.height), margin: 0,
    center: false, hash: true, respondToHashChanges: true, controls: true, progress: true,
    slideNumber: "c/t", transition: "none", backgroundTransition: "none", pdfSeparateFragments: false,
    scrollActivationWidth: 0, viewDistance: 2, plugins: [RevealNotes],
  });

  // A player has the keys while it has the focus; Escape, and the keys of a presenter, come here.
  addEventListener("message", function (event) {
    var frames = Array.prototype.slice.call(document.querySelectorAll(".player iframe"));
    var from = frames.filter(function (frame) { return frame.contentWindow === event.source; })[0];
    if (!from || !event.data || !event.data.memsim) return;
    from.blur();
    window.focus();
    if (event.data.memsim === "PageDown") Reveal.next();
    if (event.data.memsim === "PageUp") Reveal.prev();
  });
})();
