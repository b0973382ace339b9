// Search, in the browser alone: every word has to be there; names as a whole and titles come first.

(() => {
  const box = document.querySelector("header input");
  const found = document.getElementById("found");
  const results = document.getElementById("results");
  const rows = window.memsimIndex.map((row) => [...row, row[1].toLowerCase(), row[3].toLowerCase()]);
  const MOST = 50;

  const wordsOf = (query) => query.toLowerCase().replace(/[()]/g, " ").split(/[\s,;]+/).filter(Boolean);
  const whole = (word) => new RegExp(`(?<![\\w])${word.replace(/[.*+?^${}|[\]\\]/g, "\\$&")}(?![\\w])`);

  const score = (title, text, word, name) => {
    if (name.test(title)) return 40;
    if (title.includes(word)) return 20;
    if (name.test(text)) return 5 + Math.min(5, text.split(word).length - 1);
    return text.includes(word) ? 1 : -1;
  };

  const search = (words) => {
    const names = words.map(whole);
    const scored = rows.map((row) => {
      const each = words.map((word, at) => score(row[4], row[5], word, names[at]));
      return [each.some((one) => one < 0) ? 0 : each.reduce((sum, one) => sum + one, 0), row];
    });
    return scored.filter(([sum]) => sum > 0).sort((one, other) => other[0] - one[0]).map(([, row]) => row);
  };

  // The words around the first that was looked for; that one is marked.
  const excerpt = (text, low, words) => {
    const at = words.map((word) => [whole(word).exec(low)?.index ?? low.indexOf(word), word]).find(([place]) => place >= 0);
    const [place, word] = at ?? [0, ""];
    const from = Math.max(0, text.lastIndexOf(" ", Math.max(0, place - 70)));
    const marked = document.createElement("mark");
    marked.textContent = text.slice(place, place + word.length);
    const to = text.indexOf(" ", place + 160);
    const part = document.createElement("p");
    part.append(from ? "… " : "", text.slice(from, place), word ? marked : "",
      text.slice(place + word.length, to < 0 ? undefined : to), to < 0 ? "" : " …");
    return part;
  };

  const shown = ([address, title, page, text, , low], words) => {
    const link = Object.assign(document.createElement("a"), { href: address, textContent: title });
    const from = Object.assign(document.createElement("span"), { textContent: page === title ? "" : ` in ${page}` });
    const item = document.createElement("li");
    item.append(link, from, excerpt(text, low, words));
    return item;
  };

  const look = () => {
    const words = wordsOf(box.value);
    const hits = words.length ? search(words) : [];
    results.replaceChildren(...hits.slice(0, MOST).map((row) => shown(row, words)));
    const count = `${hits.length} ${hits.length === 1 ? "section" : "sections"}`;
    const most = hits.length > MOST ? `, the first ${MOST} of them here` : "";
    found.textContent = words.length ? (hits.length ? `${count}${most}` : "Nothing was found.") : "";
  };

  box.value = new URLSearchParams(location.search).get("q") ?? "";
  box.addEventListener("input", look);
  look();
})();
