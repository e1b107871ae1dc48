// What the pages do beside loading parts of themselves: the theme, the pause of the
// live page, and the keys of a case. Without this script every page works, but nothing moves.
(() => {
  "use strict";
  const ROWS_MAX = 50;
  const THEMES = ["system", "dark", "light"];

  const kept = () => {
    try {
      return localStorage.getItem("theme");
    } catch {
      return null; // a browser that keeps nothing
    }
  };
  let theme = THEMES.includes(kept()) ? kept() : "system";

  const dress = () => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  };
  dress(); // before the page is drawn

  const offerThemes = () => {
    const button = document.getElementById("theme");
    const say = () => (button.textContent = `Theme: ${theme}`);
    button.hidden = false;
    say();
    button.addEventListener("click", () => {
      theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
      try {
        localStorage.setItem("theme", theme);
      } catch {
        // It holds for this page.
      }
      dress();
      say();
    });
  };

  // The live page: nothing moves while it is paused, is pointed at or has the focus.
  const offerPause = () => {
    const feed = document.getElementById("feed");
    if (!feed) return;
    const button = document.getElementById("pause");
    const told = document.getElementById("pause-state");
    const holds = new Set();
    let missed = false;

    const say = () => {
      const words = holds.size ? "Paused" : "";
      if (told.textContent !== words) told.textContent = words;
    };
    const hold = (why) => {
      holds.add(why);
      say();
    };
    const release = (why) => {
      holds.delete(why);
      say();
      if (holds.size || !missed) return;
      missed = false;
      htmx.ajax("GET", feed.dataset.again, { target: "#rows", swap: "innerHTML" });
    };

    button.hidden = false;
    button.addEventListener("click", () => {
      const pauses = !holds.has("button");
      button.setAttribute("aria-pressed", String(pauses));
      if (pauses) hold("button");
      else release("button");
    });
    feed.addEventListener("focusin", () => hold("focus"));
    feed.addEventListener("focusout", (event) => {
      if (!feed.contains(event.relatedTarget)) release("focus");
    });
    feed.addEventListener("mouseenter", () => hold("pointer"));
    feed.addEventListener("mouseleave", () => release("pointer"));

    document.addEventListener("htmx:sse:before:message", (event) => {
      if (!holds.size) return;
      missed = true;
      event.preventDefault();
    });
    document.addEventListener("htmx:sse:after:message", () => {
      const rows = document.getElementById("rows");
      while (rows.children.length > ROWS_MAX) rows.lastElementChild.remove();
    });
  };

  // The editor: a mistake's line is a button that leads to it.
  const offerLines = () => {
    const text = document.getElementById("text");
    if (!text) return;
    document.addEventListener("click", (event) => {
      const line = Number(event.target.dataset?.line);
      if (!line) return;
      const lines = text.value.split("\n");
      const start = lines.slice(0, line - 1).join("\n").length + (line > 1);
      text.focus();
      text.setSelectionRange(start, start + (lines[line - 1] ?? "").length);
      text.scrollTop = (text.scrollHeight / lines.length) * Math.max(0, line - 5);
    });
  };

  // A list's file: read here into the form's own text, which goes without scripts too.
  const offerFiles = () => {
    const file = document.getElementById("file");
    if (!file) return;
    document.getElementById("file-offered").hidden = false;
    file.addEventListener("change", async () => {
      const [chosen] = file.files;
      if (!chosen) return;
      document.getElementById("content").value = await chosen.text();
      document.getElementById("source").value = chosen.name;
    });
  };

  // A case by the keyboard: single keys press what names them. Off while somebody writes,
  // with a modifier, and for as long as they are switched off.
  const offerKeys = () => {
    const shown = document.getElementById("shortcuts");
    if (!shown) return;
    const button = document.getElementById("shortcuts-switch");
    const stored = (value) => {
      try {
        if (value !== undefined) localStorage.setItem("keys", value);
        return localStorage.getItem("keys");
      } catch {
        return value; // a browser that keeps nothing
      }
    };
    let on = stored() !== "off";
    const say = () => {
      button.setAttribute("aria-pressed", String(on));
      document.getElementById("shortcuts-told").hidden = !on;
    };
    shown.hidden = false;
    say();
    button.addEventListener("click", () => {
      on = !on;
      stored(on ? "on" : "off");
      say();
    });
    document.addEventListener("keydown", (event) => {
      if (!on || event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
      if (event.target.closest("input, textarea, select, [contenteditable]")) return;
      document.querySelector(`[data-key="${CSS.escape(event.key)}"]`)?.click();
    });
  };

  // A session that has ended: the whole page, anew, asks who it is.
  const leave = (status) => {
    if (status === 401) location.reload();
  };
  document.addEventListener("htmx:response:error", (event) =>
    leave(event.detail.ctx.response.status)
  );
  document.addEventListener("htmx:sse:error", (event) => leave(event.detail.status));

  document.addEventListener("DOMContentLoaded", () => {
    offerThemes();
    offerPause();
    offerLines();
    offerKeys();
    offerFiles();
  });
})();
