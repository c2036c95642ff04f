// The search page: asks, shows what each system found, keeps judgements. Text of passages is only ever set as text.
(() => {
  const here = "/embed_pipeline/search";
  const { byId, complain, greet, make } = shared;
  const call = (path, body) => shared.call(here + path, body);
  const waiting = (text) => shared.waiting(here, text);
  const FEW = 8; // values of one name below a passage
  const query = byId("query");
  let state = { may_judge: false };
  let shown = null; // the last answer
  let queries = [];
  let asked = 0;

  const say = (text, problem = false, undo = null) => {
    shared.say(text, problem);
    if (undo) byId("status").append(" ", make("button", { type: "button", className: "plain", textContent: "Undo", onclick: undo }));
  };

  // -- judgements

  const count = (told) => {
    byId("progress").hidden = !state.may_judge && !told.questions;
    byId("bar").max = told.goal;
    byId("bar").value = Math.min(told.questions, told.goal);
    byId("count").textContent = `${told.questions} of ${told.goal} questions judged`;
    const use = byId("use");
    if (told.questions) {
      const enough = told.questions >= told.goal;
      const before = enough ? "They are a gold set: put " : `${told.goal - told.questions} more make a gold set that can decide. With `;
      const after = enough ? " into the settings file, and the next run measures on them." : " in the settings file a run measures on them already.";
      use.replaceChildren(before, make("code", { textContent: state.gold }), after);
    } else {
      use.textContent = "Mark what answers a query. Fifty such questions make a gold set that can decide.";
    }
  };

  const judge = async (asking, passage, score, hash) => {
    try {
      const told = await call("/judge", { query: asking, passage_id: passage, score, hash });
      const words = { null: "Judgement taken back.", 0: "Kept as not relevant.", 1: "Kept as relevant.", 2: "Kept as exactly that." };
      say(words[score], false, () => judge(asking, passage, told.before, hash));
      if (shown && shown.query === asking) {
        if (score === null) delete shown.judged[passage];
        else shown.judged[passage] = score;
        press();
      }
      count(told);
      list();
    } catch (error) {
      complain(error);
    }
  };

  const press = () => {
    for (const button of document.querySelectorAll(".judge button")) {
      button.setAttribute("aria-pressed", String(shown.judged[button.dataset.passage] === Number(button.dataset.score)));
    }
  };

  const buttons = (passage) => {
    const words = [["0", "No"], ["1", "Relevant"], ["2", "Exactly that"]];
    return make("div", { className: "judge", role: "group", "aria-label": "Is it relevant?" }, ...words.map(([score, label]) => {
      const button = make("button", { type: "button", textContent: label });
      button.dataset.passage = passage;
      button.dataset.score = score;
      button.onclick = () => {
        const again = button.getAttribute("aria-pressed") === "true";
        judge(shown.query, passage, again ? null : Number(score), shown.passages[passage].hash);
      };
      return button;
    }));
  };

  // -- what was found

  const marks = (system, hit) => {
    const found = [];
    if (hit.only_here) found.push(make("span", { className: "mark only", textContent: "only here" }));
    if (system.name !== "base") {
      if (hit.moved === null) found.push(make("span", { className: "mark new", textContent: "new", title: "not among the base's hundred" }));
      else if (hit.moved > 0) found.push(make("span", { className: "mark up", textContent: `▲ ${hit.moved}`, title: "places higher than with the base" }));
      else if (hit.moved < 0) found.push(make("span", { className: "mark down", textContent: `▼ ${-hit.moved}`, title: "places lower than with the base" }));
    }
    return found;
  };

  const light = (passage, on) => {
    for (const card of document.querySelectorAll(".hit")) card.classList.toggle("same", on && card.dataset.passage === passage);
  };

  // A passage begins with its heading, which stands above it already.
  const body = (passage) => {
    const heading = passage.title.split(" › ").pop();
    const text = heading && passage.text.startsWith(heading + "\n") ? passage.text.slice(heading.length) : passage.text;
    return text.trim().replace(/\n\s*\n/g, "\n");
  };

  // What the corpus tells of the document, its first values; only what is an address on the web becomes a link.
  const asTold = (value) => /^https?:\/\//i.test(value)
    ? make("a", { href: value, target: "_blank", rel: "noopener noreferrer", textContent: value })
    : make("bdi", { textContent: value });
  const told = (values) => Object.entries(values).flatMap(([name, all], place) => {
    const label = name === "url" || name === "date" ? "" : `${name}: `;
    const more = all.length > FEW ? ` and ${all.length - FEW} more` : "";
    return [place ? " · " : "", label, ...all.slice(0, FEW).flatMap((value, at) => [at ? ", " : "", asTold(value)]), more];
  });

  const card = (system, hit) => {
    const passage = shown.passages[hit.passage_id];
    const elsewhere = shown.systems.filter((one) => one.name !== system.name)
      .map((one) => `${one.label} ${passage.ranks[one.name] ?? "–"}`).join(" · ");
    const text = make("p", { className: "text", dir: "auto", textContent: body(passage) });
    const element = make("li", { className: hit.only_here ? "hit only" : "hit" },
      make("p", { className: "top" },
        make("span", { className: "rank", textContent: hit.rank }), ...marks(system, hit),
        make("span", { className: "score", textContent: hit.score.toFixed(system.name === "bm25" ? 2 : 3) })),
      make("h3", { dir: "auto", textContent: passage.title || hit.passage_id }), text);
    element.dataset.passage = hit.passage_id;
    if (Object.keys(passage.told).length) element.append(make("p", { className: "told" }, ...told(passage.told)));
    const more = make("button", { type: "button", className: "plain more", textContent: "More" });
    more.onclick = () => { more.textContent = element.classList.toggle("open") ? "Less" : "More"; };
    element.append(more);
    element.append(make("p", { className: "ranks", title: hit.passage_id, textContent: elsewhere }));
    if (state.may_judge) element.append(buttons(hit.passage_id));
    element.onmouseenter = () => light(hit.passage_id, true);
    element.onmouseleave = () => light(hit.passage_id, false);
    return element;
  };

  const show = () => {
    byId("found").className = shown.systems.length === 3 ? "three" : "";
    byId("found").replaceChildren(...shown.systems.map((system) => make("section", { className: "system" },
      make("h2", { textContent: system.label }), make("p", { textContent: system.about }),
      system.hits.length ? make("ol", {}, ...system.hits.map((hit) => card(system, hit))) : make("p", { textContent: "Nothing: no passage shares a word with the query." }))));
    for (const more of document.querySelectorAll(".hit .more")) {
      const text = more.parentElement.querySelector(".text");
      more.hidden = text.scrollHeight <= text.clientHeight + 1;
    }
    byId("legend").hidden = false;
    if (state.may_judge) press();
  };

  const search = async (text, remember = true) => {
    const mine = ++asked;
    const button = document.querySelector("#ask button");
    button.disabled = true;
    const done = waiting("Searching …");
    try {
      const found = await call("/query", { query: text, k: Number(byId("k").value) });
      if (mine !== asked) return;
      shown = found;
      show();
      const same = shown.systems.map((one) => one.hits[0]?.passage_id);
      const agree = same.every((one) => one === same[0]);
      say([...shown.notes, agree ? "All systems have the same passage first." : "The systems differ on the first passage."].join("\n"));
      if (remember && shown.query.length <= 1000) history.pushState(null, "", `${location.pathname}?${new URLSearchParams({ q: shown.query })}`);
    } catch (error) {
      if (mine === asked) complain(error);
    } finally {
      done();
      button.disabled = false;
    }
  };

  // -- the query log

  const offer = () => {
    const next = queries[0];
    byId("log-start").hidden = true;
    byId("log-offer").hidden = !next;
    if (!next) {
      byId("log-count").textContent = "holds no query that is not judged yet";
      return;
    }
    byId("log-query").textContent = next.query;
    byId("log-why").textContent = `The systems differ by ${Math.round(100 * next.disagreement)} %.`;
  };
  const suggestions = async () => {
    byId("log-start").disabled = true;
    const done = waiting("Looking at the query log …");
    try {
      const found = await call("/suggestions");
      queries = found.queries;
      byId("log-count").textContent = `(${found.looked_at} of ${found.distinct} different queries looked at)`;
      offer();
      say("");
    } catch (error) {
      complain(error);
    } finally {
      done();
      byId("log-start").disabled = false;
    }
  };
  byId("log-start").onclick = suggestions;
  byId("log-query").onclick = () => {
    query.value = queries[0].query;
    search(query.value);
  };
  byId("log-next").onclick = () => {
    queries.push(queries.shift());
    offer();
  };

  // -- the list

  const now = { moved: "its text now has the id", changed: "its text is another now: judge it again", gone: "is not there any more" };
  const question = (one) => {
    const again = make("button", { type: "button", className: "plain asked", dir: "auto", textContent: one.query });
    again.onclick = () => { query.value = one.query; search(one.query); scrollTo(0, 0); };
    const remove = make("button", { type: "button", className: "plain", textContent: "Remove" });
    remove.onclick = async () => {
      try {
        const told = await call("/remove", { query_id: one.query_id });
        say("Question removed.", false, async () => { count(await call("/restore", { removed: told.removed })); say("It is back."); list(); });
        count(told);
        list();
      } catch (error) {
        complain(error);
      }
    };
    const rows = one.passages.map((passage) => {
      if (passage.state === "same") return make("li", {}, `${passage.score} · ${passage.judged}`);
      const row = make("li", { className: "lost" }, `${passage.score} · ${passage.judged} ${now[passage.state]}`);
      if (passage.state === "moved") row.append(` ${passage.passage_id}`);
      if (state.may_judge) {
        const mend = make("button", { type: "button", className: "plain", textContent: passage.state === "moved" ? "Take over" : "Take back" });
        mend.onclick = async () => {
          if (passage.state === "moved") await judge(one.query, passage.passage_id, passage.score, passage.hash);
          judge(one.query, passage.judged, null, "");
        };
        row.append(" ", mend);
      }
      return row;
    });
    return make("li", {}, again, ...(state.may_judge ? [remove] : []), one.counts ? "" : " (nothing relevant yet, so it does not count)", make("ul", {}, ...rows));
  };
  const list = async () => {
    try {
      const found = await call("/judged");
      const lost = found.questions.flatMap((one) => one.passages).filter((one) => one.state !== "same");
      byId("kept").hidden = !found.questions.length;
      byId("questions").replaceChildren(...found.questions.map(question).reverse());
      byId("changed").hidden = !lost.length;
      byId("changed").textContent = `The passages have changed: ${lost.length} judged ${lost.length === 1 ? "one is" : "ones are"} not what ${lost.length === 1 ? "it was" : "they were"}. ` +
        "A gold set with ids that are gone is refused: take those judgements back, or judge again.";
    } catch (error) {
      complain(error);
    }
  };

  // -- begin

  byId("ask").onsubmit = (event) => { event.preventDefault(); search(query.value); };
  query.onkeydown = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      search(query.value);
    }
  };
  byId("k").onchange = () => { if (shown) search(shown.query, false); };
  const fromAddress = () => {
    const text = new URLSearchParams(location.search).get("q");
    if (text) { query.value = text; search(text, false); }
  };
  addEventListener("popstate", fromAddress);

  (async () => {
    try {
      state = await call("/state");
    } catch (error) {
      complain(error);
      return;
    }
    greet(state, state.may_judge ? "" : ": may search, not judge");
    count(state);
    fromAddress();
    if (state.any) list();
    byId("log").hidden = !state.log;
  })();
})();
