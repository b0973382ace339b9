// In a player's own page on a slide: as large as fits its frame; keys it has no use for go to the deck.

addEventListener("keydown", (event) => {
  const typing = event.target.matches?.("input, select");
  const leaves = event.key === "Escape" || (!typing && /^Page(Up|Down)$/.test(event.key));
  if (!leaves) return;
  event.preventDefault();
  parent.postMessage({ memsim: event.key }, "*");
});

addEventListener("load", () => {
  const root = document.getElementById("player");
  const PARTS = ".ms-strip, .ms-slabs, .ms-vmalloc, .ms-panes > div, .ms-two";
  const fits = (zoom) => {
    root.style.setProperty("--zoom", zoom);
    return [...root.querySelectorAll(PARTS)].every((e) => e.scrollHeight <= e.clientHeight + 1);
  };
  const fit = () => {
    root.classList.remove("low");
    [1.3, 1.2, 1.1, 1].find(fits);
    const panes = root.querySelector(":scope > .memsim-player > .ms-panes");
    root.classList.toggle("low", panes?.clientHeight < 300);
  };
  // After the player has come, and after it drew itself for another size: none while it is hidden.
  const soon = () => setTimeout(fit, 50);
  new MutationObserver((changes, observer) => {
    observer.disconnect();
    soon();
  }).observe(root, { childList: true });
  new ResizeObserver(soon).observe(document.documentElement);
});
