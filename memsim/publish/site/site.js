// What a page does besides being read: light and dark, the menu, "/" to search, paper.

(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  root.classList.add("with-scripts");

  // Light and dark: the system's, until somebody chooses. Charts and stills ask as in JupyterLab.
  const button = document.querySelector(".theme");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const show = () => {
    document.body.dataset.jpThemeLight = String(!isDark());
    button.textContent = isDark() ? "Light" : "Dark";
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("memsim-theme", root.dataset.theme); } catch { /* kept for this page only */ }
    show();
  });
  dark.addEventListener("change", show);
  show();

  // The menu of narrow windows.
  const menu = document.getElementById("menu");
  const toMenu = document.querySelector(".to-menu");
  toMenu.setAttribute("role", "button");
  toMenu.setAttribute("aria-controls", "menu");
  const open = (is) => { menu.classList.toggle("open", is); toMenu.setAttribute("aria-expanded", String(is)); };
  open(false);
  toMenu.addEventListener("click", (event) => { event.preventDefault(); open(!menu.classList.contains("open")); });
  menu.addEventListener("click", (event) => { if (event.target.closest("a")) open(false); });

  // The present section is marked.
  const entries = new Map([...menu.querySelectorAll(".sections a")].map((link) =>
    [document.getElementById(decodeURIComponent(link.hash.slice(1))), link]));
  const mark = () => {
    let present = null;
    for (const [heading, link] of entries) if (heading?.getBoundingClientRect().top < 160) present = link;
    for (const link of entries.values()) {
      if (link === present) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  };
  addEventListener("scroll", () => requestAnimationFrame(mark), { passive: true });
  mark();
  const here = menu.querySelector("[aria-current=page]");
  if (here) menu.scrollTop = Math.max(0, here.offsetTop - menu.clientHeight / 3);

  // Players say how tall they are. They only grow: what follows should not move to and fro.
  const tallest = new Map();
  addEventListener("message", ({ source, data }) => {
    const frame = [...document.querySelectorAll("iframe")].find((one) => one.contentWindow === source);
    if (!frame || !Number.isFinite(data?.memsimHeight)) return;
    tallest.set(frame, Math.min(Math.max(tallest.get(frame) ?? 0, data.memsimHeight), 2000));
    frame.style.height = `${tallest.get(frame)}px`;
  });

  addEventListener("keydown", (event) => {
    const isTyping = event.target.closest?.("input, textarea, select, [contenteditable]");
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || isTyping) return;
    event.preventDefault();
    document.querySelector("header input").focus();
  });

  // A link to what is folded opens it; on paper everything is open.
  const unfold = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let part = target?.closest("details"); part; part = part.parentElement.closest("details")) part.open = true;
  };
  addEventListener("hashchange", unfold);
  unfold();
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const part of opened) part.open = true;
  });
  addEventListener("afterprint", () => { for (const part of opened) part.open = false; });
})();
