// The chart of the last 24 hours: connections as bars, blocked ones on a scale of their own. Its
// numbers are in an attribute of the page; the same numbers stand in a table below it.
"use strict";

(() => {
  const HEIGHT = 220;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  let drawn = null;

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const whole = (_, values) => values.map((value) => (Number.isInteger(value) ? value.toLocaleString() : ""));
  const reading = (_, value) => (value == null ? "\u2013" : value.toLocaleString());
  // Room above the highest bar, whole numbers on the axis, and never a scale without height.
  const range = (least) => (_, low, high) => [0, Math.max(least, Math.ceil(high * 1.15))];

  function options(width) {
    const text = colour("--soft");
    const line = { stroke: text, grid: { stroke: colour("--track"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    const bars = (size, align) => window.uPlot.paths.bars({ size: [size, 40], align });
    return {
      width,
      height: HEIGHT,
      cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
      scales: { x: { range: (_, low, high) => [low - 1800, high + 1800] }, y: { range: range(10) }, blocked: { range: range(4) } },
      axes: [
        { ...line, grid: { show: false }, space: 60, size: 30, values: (_, times) => times.map((time) => new Date(time * 1000).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" })) },
        { ...line, values: whole, size: 56 },
        { ...line, scale: "blocked", side: 1, values: whole, size: 36, stroke: colour("--bad"), grid: { show: false } },
      ],
      series: [
        { label: "Hour", value: (_, time) => (time == null ? "\u2013" : new Date(time * 1000).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" })) },
        { label: "Inspected", fill: colour("--accent"), stroke: colour("--accent"), width: 0, paths: bars(0.75, 0), points: { show: false }, value: reading },
        { label: "Uninspected", fill: colour("--warn"), stroke: colour("--warn"), width: 0, paths: bars(0.75, 0), points: { show: false }, value: reading },
        { label: "Blocked (right scale)", scale: "blocked", fill: colour("--bad"), stroke: colour("--bad"), width: 0, paths: bars(0.3, 0), points: { show: false }, value: reading },
      ],
    };
  }

  window.ratwallChart = (element) => {
    if (!element || !window.uPlot) return;
    if (drawn) drawn.destroy();
    drawn = new window.uPlot(options(element.clientWidth), JSON.parse(element.dataset.chart), element);
  };

  const again = () => window.ratwallChart(document.getElementById("chart"));
  dark.addEventListener("change", again);
  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth === width) return; // a phone's address bar coming and going
    width = window.innerWidth;
    again();
  });
})();
