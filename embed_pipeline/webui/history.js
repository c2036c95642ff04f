// The page of all runs: a chart, a table that can be sorted, and two runs side by side. Text is only ever set as text.
(() => {
  const { byId: at, call, make, say } = shared;
  const SVG = "http://www.w3.org/2000/svg";
  const HINT = "Choose two runs to compare them.";
  const METRIC = "ndcg@10";
  const SERIES = [
    ["base", "base"], ["tuned", "tuned"], ["bm25", "bm25"], ["convex_tuned", "fused"],
  ];
  const state = { runs: [], names: {}, leftOut: 0, set: null, sort: "started", down: true, chosen: [] };

  const draw = (tag, attributes, text) => {
    const found = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) found.setAttribute(name, value);
    if (text !== undefined) found.textContent = text;
    return found;
  };

  const nameOf = (system) => state.names[system] ?? system;
  const headed = (column) => (column.system ? nameOf(column.system) : column.label);
  const figure = (run, system) => run.figures[state.set]?.[system]?.[METRIC] ?? null;
  const gain = (run) => (figure(run, "tuned") === null || figure(run, "base") === null ? null : figure(run, "tuned") - figure(run, "base"));
  const number = (value) => (value === null || value === undefined ? "" : value.toFixed(4));
  const signed = (value) => (value === null || value === undefined ? "" : (value > 0 ? "+" : value < 0 ? "−" : "±") + Math.abs(value).toFixed(4));
  const when = (text) => (text ? new Date(text).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }) : "");
  const spoken = (seconds) => {
    if (seconds === null) return "";
    if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
    return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
  };
  const short = (text, most = 8) => (text ?? "").slice(0, most);
  const revision = (git) => (git ? short(git) + (git.endsWith("-dirty") ? "-dirty" : "") : "");
  const money = (run) => run.cost?.usd ?? null;
  const amount = (value) => value.toLocaleString("en", { maximumFractionDigits: 2 });
  const spent = (cost) => {
    const parts = Object.entries(cost ?? {}).filter(([, value]) => value);
    return parts.map(([what, value]) => `${amount(value)} ${what === "usd" ? "USD" : what.replaceAll("_", " ")}`).join(", ");
  };
  const costCell = (run) => {
    const tokens = (run.cost?.prompt_tokens ?? 0) + (run.cost?.completion_tokens ?? 0);
    return [run.cost?.usd ? `${run.cost.usd.toFixed(2)} USD` : "", tokens ? `${amount(tokens)} tokens` : ""].filter(Boolean).join(", ");
  };
  const verdict = (run) => (run.verdict ? run.verdict + (run.firm === false ? " (provisional)" : "") : "");
  const text = (value) => value ?? "";
  const told = (value) => (typeof value === "string" ? value : value === undefined ? "" : JSON.stringify(value));
  const mood = (value) => (value > 0 ? "good" : value < 0 ? "bad" : "");

  const changes = (run) => {
    if (run.changed === null) return run === state.runs.at(-1) ? "" : make("span", { textContent: "not recorded", className: "soft" });
    const names = Object.entries(run.changed);
    if (!names.length) return "";
    const rows = names.map(([name, { before, after }]) => make("div", { textContent: `${name}: ${told(before)} → ${told(after)}` }));
    if (names.length === 1) return rows[0];
    return make("details", {}, make("summary", { textContent: `${names.length} settings` }), ...rows);
  };
  const pages = (run) => {
    const links = [["run", run.run_page], ["report", run.report]].filter(([, page]) => page);
    return make("span", {}, ...links.flatMap(([text, href], place) => [place ? " · " : "", make("a", { textContent: text, href })]));
  };
  const status = (run) => {
    const cell = make("span", { textContent: run.status, className: run.status === "succeeded" ? "" : run.status === "started" ? "soft" : "bad" });
    const more = run.errors[0] ?? (run.overrides.length ? `experiment: ${run.overrides.join(", ")}` : "");
    return make("span", {}, cell, more ? make("small", { textContent: more.length > 160 ? more.slice(0, 159) + "…" : more }) : "");
  };
  const COLUMNS = [
    { name: "started", label: "started", of: (run) => run.started, cell: (run) => when(run.started), kind: "when" },
    { name: "by", label: "started by", of: (run) => run.started_by ?? "", cell: (run) => run.started_by ?? "" },
    { name: "status", label: "status", of: (run) => run.status, cell: status, kind: "wide" },
    { name: "base", system: "base", of: (run) => figure(run, "base"), cell: (run) => number(figure(run, "base")), kind: "number" },
    { name: "tuned", system: "tuned", of: (run) => figure(run, "tuned"), cell: (run) => number(figure(run, "tuned")), kind: "number" },
    { name: "gain", label: "gain", of: gain, cell: (run) => make("span", { textContent: signed(gain(run)), className: mood(gain(run)) }), kind: "number" },
    { name: "verdict", label: "verdict", of: (run) => run.verdict ?? "", cell: (run) => make("span", { textContent: verdict(run), className: run.verdict === "regress" ? "bad" : "" }) },
    { name: "corpus", label: "corpus", of: (run) => run.corpus ?? "", cell: (run) => short(run.corpus) },
    { name: "settings", label: "settings changed", of: (run) => Object.keys(run.changed ?? {}).length, cell: changes, kind: "wide" },
    { name: "git", label: "git", of: (run) => run.git ?? "", cell: (run) => revision(run.git) },
    { name: "cost", label: "cost", of: money, cell: costCell },
    { name: "took", label: "took", of: (run) => run.seconds, cell: (run) => spoken(run.seconds), kind: "number" },
  ];

  const sorted = () => {
    const { of } = COLUMNS.find((column) => column.name === state.sort);
    const known = (value) => value !== null && value !== "";
    return [...state.runs].sort((one, other) => {
      const [a, b] = [of(one), of(other)];
      if (known(a) !== known(b)) return known(a) ? -1 : 1; // what is not known last, whichever way
      const order = a < b ? -1 : a > b ? 1 : 0;
      return state.down ? -order : order;
    });
  };

  const showHead = () => {
    const cells = COLUMNS.map((column) => {
      const { name, kind } = column;
      const button = make("button", { textContent: headed(column), type: "button" });
      button.addEventListener("click", () => sortBy(name, state.sort === name ? !state.down : true));
      const cell = make("th", { className: kind ?? "", scope: "col" }, button);
      if (state.sort === name) cell.setAttribute("aria-sort", state.down ? "descending" : "ascending");
      return cell;
    });
    document.querySelector("#runs thead tr").replaceChildren(make("th", { textContent: "" }), ...cells, make("th", { textContent: "" }));
  };
  const sortBy = (name, down) => {
    Object.assign(state, { sort: name, down });
    at("order").value = `${name} ${down ? "down" : "up"}`;
    showTable();
  };

  const showTable = () => {
    showHead();
    const rows = sorted().map((run) => {
      const tick = make("input", { type: "checkbox", "aria-label": `compare run ${short(run.run_id)} of ${when(run.started)}` });
      tick.checked = state.chosen.includes(run.run_id);
      tick.addEventListener("change", () => choose(run.run_id, tick.checked));
      const cells = COLUMNS.map((column) => {
        const found = make("td", { className: column.kind ?? "", "data-label": headed(column) }, column.cell(run));
        if (!found.textContent) found.classList.add("empty");
        return found;
      });
      const row = make("tr", { "data-run": run.run_id }, make("td", { "data-label": "compare" }, tick), ...cells, make("td", { "data-label": "pages", className: run.run_page || run.report ? "" : "empty" }, pages(run)));
      row.classList.toggle("chosen", tick.checked);
      return row;
    });
    document.querySelector("#runs tbody").replaceChildren(...rows);
  };

  // -- two runs ----------------------------------------------------------------------------------------

  const choose = (run, yes) => {
    state.chosen = state.chosen.filter((one) => one !== run);
    if (yes) state.chosen = [...state.chosen, run].slice(-2);
    showTable();
    at("hint").textContent = state.chosen.length === 1 ? "Choose another one." : HINT;
    if (state.chosen.length === 2) compare();
    else at("compared").hidden = true;
  };
  const compare = async () => {
    const order = state.runs.map((run) => run.run_id);
    const [before, after] = [...state.chosen].sort((one, other) => order.indexOf(other) - order.indexOf(one));
    const asked = state.chosen.join();
    const answer = await fetched(`/embed_pipeline/history/compare?${new URLSearchParams({ before, after })}`);
    if (!answer || asked !== state.chosen.join()) return;
    showCompared(answer);
    at("compared").scrollIntoView({ block: "nearest" });
  };
  const grid = (head, rows) =>
    make("div", { className: "part" }, make("table", {},
      make("thead", {}, make("tr", {}, ...head.map((text) => make("th", { textContent: text, scope: "col" })))),
      make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((cell) => make("td", { className: typeof cell === "string" && cell.length > 24 ? "long" : "" }, cell)))))));
  const showCompared = ({ before, after, corpus_changed: moved, settings, test_sets: sets }) => {
    const clear = make("button", { textContent: "Close", type: "button" });
    clear.addEventListener("click", () => {
      state.chosen = [];
      at("compared").hidden = true;
      at("hint").textContent = HINT;
      showTable();
    });
    const facts = [
      ["started", "started", when], ["started by", "started_by", text], ["status", "status", text],
      ["overrides", "overrides", (of) => of.join(", ")], ["corpus", "corpus", (of) => short(of, 12)], ["release", "release", text],
      ["git", "git", revision], ["took", "seconds", spoken], ["cost", "cost", spent],
    ];
    const rows = [...facts.map(([label, name, of]) => [label, of(before[name]), of(after[name])]), ["verdict", verdict(before), verdict(after)]];
    const parts = [
      make("div", { className: "top" }, make("h2", { textContent: `Run ${short(before.run_id)} and run ${short(after.run_id)}` }), clear),
      grid(["", short(before.run_id), short(after.run_id)], rows.filter(([, one, other]) => one || other)),
      make("p", { textContent: moved === null ? "" : moved ? "The corpus has changed." : "The corpus is the same." }),
      make("h3", { textContent: "Settings that differ" }),
    ];
    if (settings === null) parts.push(make("p", { textContent: "One of them was recorded by an earlier release, without settings." }));
    else if (!Object.keys(settings).length) parts.push(make("p", { textContent: "None." }));
    else parts.push(grid(["setting", "before", "after"], Object.entries(settings).map(([name, one]) => [name, told(one.before), told(one.after)])));
    for (const [name, set] of Object.entries(sets)) {
      parts.push(make("h3", { textContent: `${name} questions` }));
      if (set.why) {
        parts.push(make("p", { textContent: `Not compared. ${set.why}` })); // figures of two sets are not put side by side
        continue;
      }
      const figures = Object.entries(set.systems).flatMap(([system, metrics]) =>
        Object.entries(metrics).map(([metric, one]) => [
          make("span", { textContent: nameOf(system) }, make("small", { textContent: metric })), number(one.before), number(one.after), make("span", { textContent: signed(one.delta), className: mood(one.delta) }),
        ]));
      parts.push(grid(["system", "before", "after", "change"], figures));
    }
    at("compared").replaceChildren(...parts);
    at("compared").hidden = false;
  };

  // -- the chart ---------------------------------------------------------------------------------------

  const showChart = () => {
    const measured = state.runs.filter((run) => run.status === "succeeded" && figure(run, "tuned") !== null).reverse();
    const runs = measured.filter((run, place) => run.metrics !== measured[place - 1]?.metrics); // else nothing was measured anew
    at("chart").hidden = runs.length < 2;
    if (runs.length < 2) return;
    const [width, height, left, bottom, top] = [innerWidth < 760 ? 360 : 720, 220, 44, 28, 12];
    const values = runs.flatMap((run) => SERIES.map(([system]) => figure(run, system)).filter((one) => one !== null));
    let [low, high] = [Math.floor(Math.min(...values) * 20) / 20, Math.ceil(Math.max(...values) * 20) / 20];
    if (high - low < 0.05) [low, high] = [Math.max(0, low - 0.05), high + 0.05];
    const x = (place) => left + 8 + (place * (width - left - 20)) / (runs.length - 1);
    const y = (value) => top + ((high - value) * (height - top - bottom)) / (high - low);
    const picture = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `nDCG@10 of ${runs.length} runs on the ${state.set} questions` });
    const stride = 0.05 * Math.ceil((high - low) / 0.25);
    for (let value = low; value < high + 0.001; value += stride) {
      picture.append(draw("line", { class: "grid", x1: left, x2: width - 4, y1: y(value), y2: y(value) }));
      picture.append(draw("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, value.toFixed(2)));
    }
    for (const [place, anchor] of [[0, "start"], [runs.length - 1, "end"]])
      picture.append(draw("text", { x: x(place), y: height - 8, "text-anchor": anchor }, when(runs[place].started)));
    const version = (run) => run.test_set_versions[state.set] ?? null;
    let apart = false;
    const keys = [];
    for (const [system, kind] of SERIES) {
      let path = "";
      let last = null;
      runs.forEach((run, place) => {
        const value = figure(run, system);
        if (value === null) return;
        if (!run.experiment) {
          const joined = last !== null && version(last) === version(run) && version(run) !== null;
          if (last !== null && !joined) apart = true;
          path += `${joined ? "L" : "M"}${x(place).toFixed(1)} ${y(value).toFixed(1)}`;
          last = run;
        }
        const dot = draw("circle", { class: run.experiment ? `${kind} trial` : kind, cx: x(place), cy: y(value), r: run.experiment ? 3.5 : 3 });
        dot.append(draw("title", {}, `${nameOf(system)} ${number(value)}, run ${short(run.run_id)}, ${when(run.started)}`));
        picture.append(dot);
      });
      if (!runs.some((run) => figure(run, system) !== null)) continue;
      if (path) picture.append(draw("path", { class: `line ${kind}`, d: path }));
      const sample = draw("svg", { viewBox: "0 0 20 10", "aria-hidden": "true" });
      sample.append(draw("line", { class: `line ${kind}`, x1: 0, x2: 20, y1: 5, y2: 5 }));
      keys.push(make("span", {}, sample, nameOf(system)));
    }
    const remarks = [];
    if (runs.some((run) => run.experiment)) remarks.push("Hollow points are runs with overrides.");
    if (apart) remarks.push("Points that are not joined were measured on other questions, or on ones whose version is not known.");
    at("chart").replaceChildren(
      make("h2", { textContent: `nDCG@10 over runs, ${state.set} questions` }), picture, make("p", { className: "keys" }, ...keys),
      make("p", { textContent: remarks.join(" "), className: "soft" }));
  };

  // -- all of it ---------------------------------------------------------------------------------------

  const fetched = async (address) => {
    try {
      return await call(address);
    } catch (error) {
      say(error instanceof TypeError ? "The web UI does not answer; it may be starting anew." : error.message, true);
    }
    return null;
  };
  const show = () => {
    const empty = !state.runs.length;
    for (const part of ["choose", "scroll"]) at(part).hidden = empty;
    at("chart").hidden = true;
    if (empty) return say("No run yet. Start one with Materialize all in the web UI, or with embed-pipeline run.");
    const sets = [...new Set(state.runs.flatMap((run) => Object.keys(run.figures)))];
    if (!sets.includes(state.set)) state.set = sets[0] ?? null;
    at("set").replaceChildren(...sets.map((name) => make("option", { textContent: name, value: name })));
    at("set").parentElement.hidden = sets.length < 2;
    if (state.set) at("set").value = state.set;
    say(state.leftOut ? `The latest ${state.runs.length} runs; embed-pipeline history has ${state.leftOut} more.` : "");
    showTable();
    showChart();
  };
  const load = async () => {
    const found = await fetched("/embed_pipeline/history/runs");
    if (!found) return;
    Object.assign(state, { runs: found.runs, names: found.names, leftOut: found.left_out });
    orders();
    state.chosen = state.chosen.filter((run) => state.runs.some((one) => one.run_id === run));
    show();
  };

  const orders = () => {
    at("order").replaceChildren(...COLUMNS.flatMap((column) => [["down", "highest"], ["up", "lowest"]].map(([way, first]) =>
      make("option", { value: `${column.name} ${way}`, textContent: `${headed(column)}, ${first} first` }))));
    at("order").value = `${state.sort} ${state.down ? "down" : "up"}`;
  };
  at("order").addEventListener("change", () => {
    const [name, way] = at("order").value.split(" ");
    sortBy(name, way === "down");
  });
  at("set").addEventListener("change", () => {
    state.set = at("set").value;
    show();
  });
  at("choose").addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("visibilitychange", () => document.hidden || load());
  load();
})();
