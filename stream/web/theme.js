/* Dark or light before the first paint: what was chosen, else what the system prefers. A classic script on purpose. */
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("earshot-theme");
  } catch {
    // Storage is forbidden here; the choice lasts as long as the page.
  }
  const light = matchMedia("(prefers-color-scheme: light)");
  const apply = () => {
    document.documentElement.dataset.theme = chosen ?? (light.matches ? "light" : "dark");
    document.dispatchEvent(new Event("themechange"));
  };
  light.addEventListener("change", apply);
  apply();

  addEventListener("DOMContentLoaded", () => {
    const button = document.querySelector("#theme");
    const show = () => button.setAttribute("aria-pressed", String(document.documentElement.dataset.theme === "light"));
    document.addEventListener("themechange", show);
    show();
    button.addEventListener("click", () => {
      chosen = document.documentElement.dataset.theme === "light" ? "dark" : "light";
      try {
        localStorage.setItem("earshot-theme", chosen);
      } catch {
        // See above.
      }
      apply();
    });
  });
})();
