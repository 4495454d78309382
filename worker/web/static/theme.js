// Light, dark, or as the system: before anything is drawn, and remembered on this browser only.
"use strict";
(() => {
  const KEY = "maskwatch-theme";
  const CHOICES = ["system", "light", "dark"];
  let choice = "system";
  try {
    choice = localStorage.getItem(KEY) ?? choice;
  } catch {
    // storage is forbidden: the choice lasts as long as the page
  }
  if (!CHOICES.includes(choice)) choice = "system";

  function apply() {
    document.documentElement.dataset.theme = choice;
    const button = document.getElementById("theme");
    if (button) button.textContent = `Theme: ${choice}`;
  }

  apply();
  document.addEventListener("DOMContentLoaded", () => {
    apply();
    document.getElementById("theme")?.addEventListener("click", () => {
      choice = CHOICES[(CHOICES.indexOf(choice) + 1) % CHOICES.length];
      try {
        localStorage.setItem(KEY, choice);
      } catch {
        // as above
      }
      apply();
    });
  });
})();
