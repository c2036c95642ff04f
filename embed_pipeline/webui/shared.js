// What our own pages share. Text is only ever set as text.
const shared = (() => {
  const byId = (id) => document.getElementById(id);

  // An element with these properties, else attributes, and with this inside.
  const make = (tag, about = {}, ...inside) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(about)) {
      if (name in element) element[name] = value;
      else element.setAttribute(name, value);
    }
    element.append(...inside);
    return element;
  };

  // What turns the direction of the text after it is shown as what it is.
  const visible = (text) => text.replace(/[\u202a-\u202e\u2066-\u2069]/g, (mark) => `⟨U+${mark.codePointAt(0).toString(16).toUpperCase()}⟩`);

  const number = new Intl.NumberFormat("en");
  const many = (count, one, more = `${one}s`) => `${number.format(count)} ${count === 1 ? one : more}`;

  // What the server answers, with a body if one is given; who is not signed in goes there first.
  const call = async (path, body) => {
    const post = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
    const answer = await fetch(path, { credentials: "same-origin", ...(body === undefined ? {} : post) });
    if (answer.status === 401) location.assign("/login?next=" + encodeURIComponent(location.pathname + location.search));
    const found = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(found.errors?.[0]?.message ?? `The server answered ${answer.status}.`);
    return found;
  };

  const say = (text, problem = false) => {
    byId("status").textContent = text;
    byId("status").className = problem ? "problem" : "";
  };
  const complain = (error) => say(error instanceof TypeError ? "The server does not answer. Is it still running?" : error.message, true);

  // Says what the server is at, as /state of the page tells it; the function that it gives ends that.
  const waiting = (here, text) => {
    let over = false;
    say(text);
    const timer = setInterval(async () => {
      const told = await call(`${here}/state`).catch(() => null);
      if (told?.doing && !over) say(`${told.doing} …`);
    }, 1000);
    return () => {
      over = true;
      clearInterval(timer);
    };
  };

  // At the head of the page: who is signed in, and the way to the web UI.
  const greet = (state, more = "") => {
    byId("who").textContent = state.user ? `${state.user.name} (${state.user.role})${more}` : "";
    if (state.home_page) byId("who").append(" ", make("a", { href: state.home_page, textContent: "Web UI" }));
  };

  return { byId, call, complain, greet, make, many, number, say, visible, waiting };
})();
