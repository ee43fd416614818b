// Runs before the page is drawn. Sets the theme and detects the visitor's time zone; cookies remember both.
(() => {
  const root = document.documentElement;
  root.lang = "en";
  root.dataset.zone = document.currentScript.dataset.zone; // the zone that the server drew the page for
  const year = "; max-age=31536000; path=/; samesite=lax" + (location.protocol === "https:" ? "; secure" : "");
  const cookie = (name) => {
    const found = document.cookie.match("(?:^|; )" + name + "=([^;]*)");
    return found ? decodeURIComponent(found[1]) : null;
  };
  const remember = (name, value) => (document.cookie = name + "=" + encodeURIComponent(value) + year);

  // During a deployment, the process that served the page may have stopped before its scripts are requested. Without
  // them the page would stay empty, so reload it, at most once in ten seconds.
  const reload = (event) => {
    if (event.target.localName !== "script" || event.target.type !== "module") return;
    if (Date.now() - Number(sessionStorage.getItem("loaded-again")) < 10_000) return;
    sessionStorage.setItem("loaded-again", Date.now());
    location.reload();
  };
  addEventListener("error", reload, true);

  // --- theme
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const paint = () => (root.dataset.theme = cookie("theme") || (dark.matches ? "dark" : "light"));
  paint();
  dark.addEventListener("change", paint);

  // --- languages: pages contain their codes, visitors see their names
  const names = new Intl.DisplayNames(["en"], { type: "language" });
  window.languageName = (code) => {
    try {
      return names.of(code);
    } catch {
      return code;
    }
  };
  class LanguageNames extends HTMLElement {
    connectedCallback() {
      this.textContent = this.textContent.trim().split(/\s+/).map(languageName).join(", ");
    }
  }
  customElements.define("language-names", LanguageNames);

  // --- while a form navigates to another page, nothing else may reload this one
  addEventListener("submit", (event) => {
    if (!event.defaultPrevented) window.leaving = true;
  });

  // --- time zone
  const browserZone = () => Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  const zone = () => cookie("zone") || browserZone();
  if (cookie("browser_zone") !== browserZone()) remember("browser_zone", browserZone());

  // Tell the server the visitor's zone if it drew the page for another one, or for none.
  const sendZone = () => {
    if (root.classList.contains("plain")) return; // plain pages show no times
    if (window.did_handshake && window.socket) emitEvent("zone", zone());
    else setTimeout(sendZone, 20);
  };

  // When the visitor returns to the page, pages that subscribed to this event reload their data.
  for (const event of ["focus", "visibilitychange"])
    addEventListener(event, () => {
      if (!document.hidden && window.socket?.connected) emitEvent("seen");
    });

  const fill = (select) => {
    if (select.options.length > 1) return;
    const names = new Set([...(Intl.supportedValuesOf?.("timeZone") ?? []), browserZone(), "UTC"]);
    select.replaceChildren(...[...names].sort().map((name) => new Option(name.replaceAll("_", " "), name)));
    select.value = zone();
  };

  document.addEventListener("DOMContentLoaded", () => {
    const select = document.getElementById("zone");
    const name = innerWidth < 760 ? zone().split("/").pop() : zone();
    select.replaceChildren(new Option(name.replaceAll("_", " "), zone()));
    // Six hundred names are added only when the visitor opens the list.
    for (const event of ["pointerdown", "focus"]) select.addEventListener(event, () => fill(select));
    select.addEventListener("change", () => {
      remember("zone", select.value);
      sendZone();
    });
    document.getElementById("theme").addEventListener("click", () => {
      remember("theme", root.dataset.theme === "dark" ? "light" : "dark");
      paint();
    });
    if (root.dataset.zone !== zone()) sendZone();
  });
})();
