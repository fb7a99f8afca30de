// The charts of the dashboard: connections as bars, blocked ones on a scale of their own. The
// numbers and the names of a chart are in attributes of its element; the same numbers stand in a
// table below it.
"use strict";

(() => {
  const HEIGHT = 220;
  const page = document.documentElement.lang;
  const speech = navigator.languages.find((name) => name.split("-")[0] === page) ?? page;
  const HALF_S = { hour: 1800, day: 43200 };
  const CLOCK = {
    hour: (date) => date.toLocaleTimeString(speech, { hour: "2-digit", minute: "2-digit" }),
    day: (date) => date.toLocaleDateString(speech, { day: "numeric", month: "short" }),
  };
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const drawn = new Map(); // element: chart

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const whole = (_, values) => values.map((value) => (Number.isInteger(value) ? value.toLocaleString(speech) : ""));
  const reading = (_, value) => (value == null ? "\u2013" : value.toLocaleString(speech));
  // Room above the highest bar, whole numbers on the axis, and never a scale without height.
  const range = (least) => (_, low, high) => [0, Math.max(least, Math.ceil(high * 1.15))];

  function options(element) {
    const { step } = element.dataset;
    const names = JSON.parse(element.dataset.labels);
    const when = (time) => CLOCK[step](new Date(time * 1000));
    const text = colour("--soft");
    const line = { stroke: text, grid: { stroke: colour("--track"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    const bars = (size) => window.uPlot.paths.bars({ size: [size, 40], align: 0 });
    const series = (label, name, size) => ({
      label, fill: colour(name), stroke: colour(name), width: 0, paths: bars(size), points: { show: false }, value: reading,
    });
    return {
      width: element.clientWidth,
      height: HEIGHT,
      cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
      scales: { x: { range: (_, low, high) => [low - HALF_S[step], high + HALF_S[step]] }, y: { range: range(10) }, blocked: { range: range(4) } },
      axes: [
        { ...line, grid: { show: false }, space: 60, size: 30, values: (_, times) => times.map(when) },
        { ...line, values: whole, size: 56 },
        { ...line, scale: "blocked", side: 1, values: whole, size: 36, stroke: colour("--bad"), grid: { show: false } },
      ],
      series: [
        { label: names[0], value: (_, time) => (time == null ? "\u2013" : when(time)) },
        series(names[1], "--accent", 0.75),
        series(names[2], "--warn", 0.75),
        { ...series(names[3], "--bad", 0.3), scale: "blocked" },
      ],
    };
  }

  // Draw what is new on the page, and forget what has left it.
  window.ratwallChart = () => {
    if (!window.uPlot) return;
    for (const [element, chart] of drawn) {
      if (element.isConnected) continue;
      chart.destroy();
      drawn.delete(element);
    }
    for (const element of document.querySelectorAll("[data-chart]")) {
      if (drawn.has(element)) continue;
      drawn.set(element, new window.uPlot(options(element), JSON.parse(element.dataset.chart), element));
    }
  };

  const again = () => {
    for (const chart of drawn.values()) chart.destroy();
    drawn.clear();
    window.ratwallChart();
  };
  dark.addEventListener("change", again);
  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth === width) return; // a phone's address bar coming and going
    width = window.innerWidth;
    again();
  });
})();
