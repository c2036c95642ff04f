// A line at the foot of Dagster's page: our own pages, a settings file that cannot be used, settings that have changed,
// who is signed in.
(() => {
  const PAGES = [["Preview", "/embed_pipeline/preview"], ["Search", "/embed_pipeline/search"], ["History", "/embed_pipeline/history"]];
  const link = (text, href) => {
    const found = document.createElement("a");
    found.href = href;
    found.textContent = text;
    found.style.cssText = "color:inherit;margin-left:12px;text-decoration:underline";
    return found;
  };
  const line = document.createElement("div");
  line.id = "embed-pipeline-notice";
  line.setAttribute("role", "status");
  line.style.cssText =
    "position:fixed;bottom:0;left:50%;transform:translateX(-50%);max-width:44vw;z-index:9999;padding:4px 12px;" +
    "font:13px/1.5 system-ui,sans-serif;border-radius:6px 6px 0 0;white-space:pre-wrap;display:none";
  document.body.appendChild(line);

  const SEEN = "embed_pipeline.changes_seen"; // of this tab
  const dismiss = (changes) => {
    const made = document.createElement("button");
    made.textContent = "\u00d7";
    made.setAttribute("aria-label", "Hide the changes of the settings");
    made.style.cssText = "margin-left:8px;border:0;background:none;color:inherit;font:inherit;cursor:pointer";
    made.addEventListener("click", () => {
      sessionStorage.setItem(SEEN, changes);
      ask();
    });
    return made;
  };

  const show = (state) => {
    const parts = [];
    const changes = (state.changes ?? []).join("; ");
    const told = !state.problem && changes !== "" && sessionStorage.getItem(SEEN) !== changes;
    if (state.problem) parts.push(`${state.problem}\nThe settings read before stay in use.`);
    else if (told) parts.push(`Settings read anew: ${changes}`);
    if (state.user) parts.push(`${state.user.name} (${state.user.role})`);
    line.textContent = parts.join("\n");
    if (told) line.append(dismiss(changes));
    if (state.user) line.append(link("Sign out", "/logout"));
    line.append(...PAGES.map(([text, href]) => link(text, href)));
    line.style.background = state.problem ? "#a40000" : "#e8eef7";
    line.style.color = state.problem ? "#fff" : "#222";
    line.style.display = "block";
  };

  const ask = async () => {
    try {
      const answer = await fetch("/embed_pipeline/state", { credentials: "same-origin" });
      if (answer.status === 401) location.assign("/login?next=" + encodeURIComponent(location.pathname));
      if (answer.ok) show(await answer.json());
    } catch {
      // the web UI is being restarted
    }
  };
  ask();
  setInterval(ask, 5000);
})();
