// Runs before the page is drawn: the theme, and the visitor's time zone. Both are remembered in this browser.
(() => {
  const root = document.documentElement;
  root.lang = "en";
  root.dataset.zone = document.currentScript.dataset.zone; // the one that the server drew the page for
  const year = "; max-age=31536000; path=/; samesite=lax" + (location.protocol === "https:" ? "; secure" : "");
  const cookie = (name) => {
    const found = document.cookie.match("(?:^|; )" + name + "=([^;]*)");
    return found ? decodeURIComponent(found[1]) : null;
  };
  const remember = (name, value) => (document.cookie = name + "=" + encodeURIComponent(value) + year);

  // While a new version replaces the old one, a page may come from a process that is gone when its scripts are asked
  // for. Without them it would stay empty, so it is loaded again, at most once in ten seconds.
  const loadAgain = (event) => {
    if (event.target.localName !== "script" || event.target.type !== "module") return;
    if (Date.now() - Number(sessionStorage.getItem("loaded-again")) < 10_000) return;
    sessionStorage.setItem("loaded-again", Date.now());
    location.reload();
  };
  addEventListener("error", loadAgain, true);

  // --- theme
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const paint = () => (root.dataset.theme = cookie("theme") || (dark.matches ? "dark" : "light"));
  paint();
  dark.addEventListener("change", paint);

  // --- languages: written by their codes, read by their names
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

  // --- a form that leads to another page is on its way there: nothing else may load this page again
  addEventListener("submit", (event) => {
    if (!event.defaultPrevented) window.leaving = true;
  });

  // --- time zone
  const here = () => Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  const zone = () => cookie("zone") || here();
  if (cookie("browser_zone") !== here()) remember("browser_zone", here());

  // The server drew the page for the zone it knew; where that is another one, or none yet, it is told.
  const tell = () => {
    if (root.classList.contains("plain")) return; // there is nothing on it that has a zone
    if (window.did_handshake && window.socket) emitEvent("zone", zone());
    else setTimeout(tell, 20);
  };

  // When somebody comes back to a page, pages that asked for it look again.
  for (const event of ["focus", "visibilitychange"])
    addEventListener(event, () => {
      if (!document.hidden && window.socket?.connected) emitEvent("seen");
    });

  const fill = (select) => {
    if (select.options.length > 1) return;
    const names = new Set([...(Intl.supportedValuesOf?.("timeZone") ?? []), here(), "UTC"]);
    select.replaceChildren(...[...names].sort().map((name) => new Option(name.replaceAll("_", " "), name)));
    select.value = zone();
  };

  document.addEventListener("DOMContentLoaded", () => {
    const select = document.getElementById("zone");
    const name = innerWidth < 760 ? zone().split("/").pop() : zone();
    select.replaceChildren(new Option(name.replaceAll("_", " "), zone()));
    // Six hundred names are only worth their while for somebody who wants to choose.
    for (const event of ["pointerdown", "focus"]) select.addEventListener(event, () => fill(select));
    select.addEventListener("change", () => {
      remember("zone", select.value);
      tell();
    });
    document.getElementById("theme").addEventListener("click", () => {
      remember("theme", root.dataset.theme === "dark" ? "light" : "dark");
      paint();
    });
    if (root.dataset.zone !== zone()) tell();
  });
})();
