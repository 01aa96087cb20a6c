// SPDX-License-Identifier: Apache-2.0
// Browsers start no worker from a file: URL. There a hidden frame runs its script, so that the site's search works in a
// folder, without a server or a network. The search sends and takes messages, and asks its worker for nothing else.
if (location.protocol === "file:") {
  window.Worker = class {
    constructor(url) {
      this.onmessage = this.onerror = null;
      this.waiting = [];
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      this.inside = this.frame.contentWindow;
      const inner = this.frame.contentDocument;
      inner.open(); // Else Firefox replaces the document when it has "loaded" the frame.
      inner.write("<!doctype html><body></body>");
      inner.close();
      this.inside.postMessage = (data) => setTimeout(() => this.onmessage?.({ data }));
      const script = inner.createElement("script");
      script.src = new URL(url, location.href).href;
      script.onload = () => this.begin();
      script.onerror = (event) => this.onerror?.(event);
      inner.body.append(script);
    }

    begin() {
      const waiting = this.waiting;
      this.waiting = null;
      waiting.forEach((data) => this.postMessage(data));
    }

    postMessage(data) {
      if (this.waiting) {
        this.waiting.push(data);
      } else {
        setTimeout(() => this.inside.onmessage?.({ data }));
      }
    }

    terminate() {
      this.onmessage = null;
      this.frame.remove();
    }
  };
}
