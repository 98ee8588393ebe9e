"use strict";
// Where answers go: to the server that the page comes from.

class Transport {
  constructor() {
    // The token comes behind a #, which browsers send to nobody; then it stands in the address no more.
    const given = location.hash.slice(1);
    if (given) {
      localStorage.setItem("listening:token", given);
      history.replaceState(null, "", location.pathname + location.search);
    }
    this.token = localStorage.getItem("listening:token");
    this.participant = new URLSearchParams(location.search).get("PROLIFIC_PID");
  }

  async ask(method, path, body) {
    const headers = {};
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    let response;
    try {
      response = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
    } catch {
      throw new Problem("There is no connection.", 0);
    }
    const said = await response.json().catch(() => ({}));
    if (!response.ok) throw new Problem(said.error ?? "The server is out of order.", response.status);
    return said;
  }

  async test() {
    const test = await this.ask("GET", "api/test");
    if (this.token) {
      try {
        test.session = await this.ask("GET", "api/session");
      } catch (problem) {
        if (problem.status !== 401 || !test.open) throw problem;
        localStorage.removeItem("listening:token"); // of another test
        this.token = null;
      }
    }
    if (!this.token && !test.open) throw new Problem("This test is for those invited: open the link that you were sent.", 401);
    return test;
  }

  async begin() {
    if (!this.token) {
      this.token = (await this.ask("POST", "api/listeners", { participant: this.participant })).token;
      localStorage.setItem("listening:token", this.token);
    }
    return this.ask("POST", "api/consent", {});
  }

  session() {
    return this.ask("GET", "api/session");
  }

  answer(screen, answer) {
    return this.ask("PUT", `api/screens/${screen}`, answer);
  }

  finish(questions) {
    return this.ask("PUT", "api/finish", questions);
  }

  async clip(code) {
    const response = await fetch(`clips/${code}.wav`);
    if (!response.ok) throw new Problem("A sound could not be loaded.", response.status);
    return response.arrayBuffer();
  }

  // A name for what this browser keeps of this listener.
  get key() {
    return `listening:${this.token.slice(0, 12)}`;
  }
}
