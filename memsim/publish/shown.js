// Charts are drawn when they come into view; all of them before the page is printed.

(() => {
  const draw = (place) => {
    const data = place.querySelector("script");
    if (!data) return;
    const { data: traces, layout, config } = JSON.parse(data.textContent);
    data.remove();
    const hidden = place.clientWidth ? {} : { width: 1100 };
    Plotly.newPlot(place, traces, { ...layout, ...hidden }, { ...config, responsive: true });
  };
  const charts = [...document.querySelectorAll(".chart")];
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) draw(entry.target);
  });
  for (const chart of charts) seen.observe(chart);
  addEventListener("beforeprint", () => charts.forEach(draw));
})();
