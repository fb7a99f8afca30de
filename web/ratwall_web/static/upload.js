// Sends an update's file as it is, and shows how far it is. A form would be held in memory.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const form = document.getElementById("upload");
  if (!form) return;
  const [problem, sent, bar] = ["problem", "sent", "bar"].map((id) => document.getElementById(id));
  const button = form.querySelector("button:not(.quiet)");

  function fail(text) {
    problem.textContent = text;
    problem.hidden = false;
    bar.hidden = true;
    sent.textContent = "";
    button.disabled = false;
    problem.focus();
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const file = form.elements.file.files[0];
    if (!file) return;
    problem.hidden = true;
    if (file.size > Number(form.dataset.room)) {
      fail(form.dataset.large);
      delete form.dataset.sent;
      return;
    }
    button.disabled = true;
    bar.hidden = false;
    const request = new XMLHttpRequest();
    request.upload.addEventListener("progress", (step) => {
      const percent = Math.floor((100 * step.loaded) / step.total);
      bar.value = percent;
      sent.textContent = percent < 100 ? `${form.dataset.sending}: ${percent} %` : form.dataset.checking;
    });
    request.addEventListener("load", () => {
      if (request.status === 200) window.location.assign(form.dataset.done);
      else fail(request.responseText || form.dataset.lost);
      delete form.dataset.sent;
    });
    request.addEventListener("error", () => {
      fail(form.dataset.lost);
      delete form.dataset.sent;
    });
    request.open("PUT", form.action);
    request.setRequestHeader("X-CSRF-Token", form.elements.csrf.value);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.send(file);
  });
});
