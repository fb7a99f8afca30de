// What the pages do by themselves: local times, quiet polling, no double sending. No page needs it
// to be read or used: without this script times are UTC and the dashboard does not refresh.
"use strict";

(() => {
  // Words and numbers in the page's language; of its dialects, the one that the browser speaks.
  const page = document.documentElement.lang;
  const speech = navigator.languages.find((name) => name.split("-")[0] === page) ?? page;
  const sameDay = (one, other) => one.toDateString() === other.toDateString();
  const hour = new Intl.DateTimeFormat(speech, { hour: "2-digit", minute: "2-digit" });
  const day = new Intl.DateTimeFormat(speech, {
    day: "numeric", month: "short", hour: "2-digit", minute: "2-digit",
  });
  const whole = new Intl.DateTimeFormat(speech, { dateStyle: "full", timeStyle: "long" });

  function localise(root) {
    for (const element of root.querySelectorAll("time:not([title])")) {
      const moment = new Date(element.dateTime);
      const now = new Date();
      if (Number.isNaN(moment.getTime())) continue;
      if (sameDay(moment, now)) element.textContent = hour.format(moment);
      else if (moment.getFullYear() === now.getFullYear()) element.textContent = day.format(moment);
      else element.textContent = `${day.format(moment)} ${moment.getFullYear()}`;
      element.title = whole.format(moment);
    }
  }

  // What ends by itself says how long it still lasts.
  function countDown() {
    for (const element of document.querySelectorAll("[data-until]")) {
      const left = Math.ceil(Number(element.dataset.until) / 1e6 - Date.now() / 1000);
      if (left > 0 && left < 3600) {
        const seconds = String(left % 60).padStart(2, "0");
        const time = `${Math.floor(left / 60)}:${seconds}`;
        element.textContent = document.body.dataset.left.replace("TIME", time);
      } else element.textContent = "";
    }
  }
  window.setInterval(countDown, 1000);

  function refresh(root) {
    localise(root);
    countDown();
    if (window.ratwallChart) window.ratwallChart(document.getElementById("chart"));
  }

  document.addEventListener("DOMContentLoaded", () => {
    refresh(document);
    // Where something has to be typed again the field has the focus; elsewhere the problem has it.
    if (!document.querySelector("[autofocus]")) document.getElementById("problem")?.focus();
  });

  const polls = (event) => event.target instanceof Element && event.target.matches("[data-poll]");
  const lost = (is) => { document.getElementById("lost").hidden = !is; };

  // A tab that nobody looks at asks for nothing.
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (polls(event) && document.hidden) event.preventDefault();
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    if (polls(event)) lost(!event.detail.successful);
  });
  // An open list of numbers stays open when the figures around it change.
  let opened = false;
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.target.id === "live") opened = event.target.querySelector("details")?.open ?? false;
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target.id === "live") {
      const details = document.getElementById("live")?.querySelector("details");
      if (details) details.open = opened;
    }
    refresh(document);
  });

  // One click, one change.
  document.addEventListener("submit", (event) => {
    if (event.target.matches("[data-download]")) return; // the page stays, so it may be asked again
    if (event.target.dataset.sent) event.preventDefault();
    event.target.dataset.sent = "yes";
  });
  window.addEventListener("pageshow", () => {
    for (const form of document.forms) delete form.dataset.sent;
  });
})();
