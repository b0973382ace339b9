// Zone gauges: free pages against the watermarks. The text is that of zones.py. See scene.js for
// how the files become one.

class ZonePane {
  static side = "left";

  constructor(player) {
    this.scene = player.scene;
    this.zones = player.payload.zones;
    this.gauges = h("div", {});
    this.element = h("div", { class: "ms-zones", role: "group", "aria-label": ZONES_TITLE },
      h("p", { class: "ms-head" }, ZONES_TITLE), this.gauges);
  }

  show() {
    this.gauges.replaceChildren(...this.zones.map((zone) => {
      const [told, ...kept] = zoneLines(this.scene, zone);
      return h("div", { class: "ms-zone" }, h("p", {}, told), zoneGauge(this.scene, zone),
        ...kept.map((line) => h("p", { class: "ms-kept" }, line.trim())));
    }));
  }

  text() {
    return [ZONES_TITLE, this.zones.flatMap((zone) => zoneLines(this.scene, zone))
      .map((line) => `  ${line}`)];
  }
}

const ZONES_TITLE = "Zones, free pages against watermarks";

/** A zone's numbers: free pages, and [name, pages] of each watermark, the boost in it. */
function zoneNumbers({ fields }, { free, boost, marks }) {
  const at = marks.map(([name, n]) => [name, fields[n] + fields[boost]]);
  return { free: fields[free], boost: fields[boost], marks: at };
}

function zoneLines(scene, zone) {
  const { free, boost, marks } = zoneNumbers(scene, zone);
  const under = marks.slice(0, -1).find(([, mark]) => free <= mark);
  const where = under ? `not above ${under[0]}` : `above ${marks.at(-2)[0]}`;
  const told = marks.map(([name, mark]) => `${name} ${mark - boost}`).join(", ");
  const kept = zone.reserve.map(([name, pages]) => `${name} ${pages}`).join(", ");
  return [`${zone.label}: ${free} free, ${where}; ${told}${boost ? `, watermark_boost ${boost}` : ""}`,
    ...(kept ? [`  lowmem_reserve, above the mark, by highest zone: ${kept}`] : [])];
}

/** The tank: it ends a little above the highest mark that anybody is held to. */
function zoneGauge(scene, zone) {
  const { free, marks } = zoneNumbers(scene, zone);
  const most = Math.max(...marks.map(([, mark]) => mark));
  const kept = zone.reserve.map(([, pages]) => pages);
  const least = marks[0][1];
  const top = most ? 1.5 * Math.max(most, least + Math.min(Math.max(0, ...kept), 2 * most))
    : Math.max(zone.managed, 1);
  const at = (pages) => `${Math.min(100, (100 * pages) / top)}%`;
  const lines = marks.filter(([, mark]) => mark).map(([name, mark], n) => h("span",
    { class: "ms-mark", style: `left: ${at(mark)}; --n: ${n}` }, h("i", {}, name)));
  const held = zone.reserve.filter(([, pages]) => least + pages < top).map(([name, pages]) =>
    h("span", { class: "ms-mark ms-reserve", style: `left: ${at(least + pages)}`,
      title: `min for requests up to ${name}` }));
  return h("div", { class: `ms-tank${free > top ? " ms-over" : ""}`, "aria-hidden": "true" },
    h("div", { class: "ms-water", style: `width: ${at(free)}` }), ...lines, ...held);
}
