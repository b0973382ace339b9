// Starts reveal.js. Where that cannot run, the page stays what it is on paper: slide under slide.

(function () {
  "use strict";
  if (!window.Reveal || !window.RevealNotes) return;
  var body = document.body;
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
