"use strict";

const ARRAYS = { int8: Int8Array, uint8: Uint8Array, int16: Int16Array, int32: Int32Array, float32: Float32Array };
const DISTANCE_ONE = 2 ** 24;

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; ++at) bytes[at] = text.charCodeAt(at);
  return bytes;
}

/** The compiled model. `about` is what tinyedge/browser/description.py says of it. */
class Model {
  static async load(about, base64) {
    const stream = new Blob([bytesOf(base64)]).stream().pipeThrough(new DecompressionStream("deflate"));
    const { instance } = await WebAssembly.instantiate(await new Response(stream).arrayBuffer());
    return new Model(about, instance.exports);
  }

  constructor(about, module) {
    this.about = about;
    this.module = module;
    this.table = new ARRAYS[about.input.dtype](bytesOf(about.input.table).buffer);
    module.start();
  }

  /** The model's input for RGB pixels of its height and width. */
  inputOf(rgb) {
    const { channels, dtype } = this.about.input;
    const pixels = channels === 1 ? greyOf(rgb) : rgb;
    const input = new ARRAYS[dtype](pixels.length);
    for (let at = 0; at < pixels.length; ++at) input[at] = this.table[(at % channels) * 256 + pixels[at]];
    return input;
  }

  /** Runs one inference; returns its outputs and how long it took. */
  run(input) {
    const bytes = new Uint8Array(input.buffer, input.byteOffset, input.byteLength);
    new Uint8Array(this.module.memory.buffer).set(bytes, this.module.input());
    const start = performance.now();
    this.module.invoke();
    const milliseconds = performance.now() - start;
    const outputs = this.about.outputs.map(({ dtype, elements }, index) =>
      new ARRAYS[dtype](this.module.memory.buffer, this.module.output(index), elements).slice());
    return { outputs, milliseconds };
  }

  /** The probability of each class, of the outputs of an inference: softmax, unless the model has done it. */
  probabilities(outputs) {
    const { index, is_probability: isProbability } = this.about.scores;
    const { scale, zero_point: zeroPoint } = this.about.outputs[index];
    const reals = Array.from(outputs[index], (value) => (scale === null ? value : (value - zeroPoint) * scale));
    if (isProbability) return reals;
    const most = reals.reduce((one, other) => Math.max(one, other)); // Too many may be no arguments.
    const powers = reals.map((real) => Math.exp(real - most));
    const total = powers.reduce((sum, power) => sum + power, 0);
    return powers.map((power) => power / total);
  }

  /** Adds what the last inference saw to a class; false where it is full. */
  enroll(which) {
    return this.module.enroll(which) === 1;
  }

  forget(which) {
    this.module.forget(which);
  }

  count(which) {
    return this.module.count(which);
  }

  /** The class nearest to what the last inference saw, -1 where none has examples. */
  nearest() {
    return this.module.nearest();
  }

  /** The cosine of what the last inference saw and a class that has examples. */
  similarity(which) {
    return 1 - this.distance(which) / DISTANCE_ONE;
  }

  /** The same as the firmware says it: 1 minus the cosine, in units of 2^-24. */
  distance(which) {
    return this.module.distance(which) >>> 0;
  }
}
