// What is measured on the way, and whether it is flat.
const MIB = 1 << 20;

const quantile = (list, q) => list[Math.min(list.length - 1, Math.floor(q * list.length))] ?? 0;
const mean = (list) => list.reduce((sum, value) => sum + value, 0) / list.length;

export class Samples {
  constructor(server, residents, visitors) {
    Object.assign(this, { server, residents, visitors, list: [], began: performance.now() });
    this.cpu = server.cpu;
  }

  async take() {
    const latencies = this.residents.flatMap((resident) => resident.latencies.splice(0)).sort((a, b) => a - b);
    const connecting = this.visitors.latencies.splice(0).sort((a, b) => a - b);
    const { cpu } = this.server;
    const seconds = (performance.now() - this.began) / 1000;
    const before = this.list.at(-1)?.seconds ?? 0;
    const sample = {
      seconds,
      ...(await this.server.stats()),
      memory: this.server.memory,
      descriptors: this.server.descriptors,
      cpu: (cpu - this.cpu) / (seconds - before),
      messages: latencies.length,
      p50: quantile(latencies, 0.5),
      p99: quantile(latencies, 0.99),
      connect50: quantile(connecting, 0.5),
    };
    this.cpu = cpu;
    this.list.push(sample);
    return this.#line(sample);
  }

  #line({ seconds, memory, descriptors, tasks, sessions, sockets, rooms, cpu, messages, p50, p99 }) {
    return (
      `${seconds.toFixed(0).padStart(5)} s  ${(memory / MIB).toFixed(1)} MiB  ${descriptors} descriptors  ${tasks} tasks  ` +
      `${sessions} sessions  ${sockets} sockets  ${rooms} rooms  ${messages} answers, p50 ${p50.toFixed(1)}, p99 ${p99.toFixed(1)} ms  ` +
      `${(100 * cpu).toFixed(0)} % of a core`
    );
  }

  /** The second and the last quarter: the first one is for warming up. */
  #quarters(what) {
    const values = this.list.map((sample) => sample[what]);
    const quarter = Math.max(1, Math.floor(values.length / 4));
    return [mean(values.slice(quarter, 2 * quarter)), mean(values.slice(-quarter))];
  }

  /** What grew by more than chance explains. */
  problems() {
    const tolerated = {
      memory: (early) => early * 1.1 + 8 * MIB,
      descriptors: (early) => early * 1.15 + 10,
      tasks: (early) => early * 1.15 + 10,
      sessions: (early) => early * 1.15 + 10,
      rooms: (early) => early + 3,
      p50: (early) => early * 2 + 5,
      p99: (early) => early * 2 + 500,
    };
    return Object.entries(tolerated).flatMap(([what, most]) => {
      const [early, late] = this.#quarters(what);
      return late > most(early) ? [`${what}: ${late.toFixed(1)} in the last quarter, ${early.toFixed(1)} in the second`] : [];
    });
  }

  summary() {
    const of = (what, unit = 1, digits = 1) => this.#quarters(what).map((value) => (value / unit).toFixed(digits)).join(" → ");
    return (
      `second quarter → last quarter: memory ${of("memory", MIB)} MiB, descriptors ${of("descriptors")}, tasks ${of("tasks")}, ` +
      `sessions ${of("sessions")}, p50 ${of("p50")} ms, p99 ${of("p99")} ms, connecting ${of("connect50")} ms, ` +
      `${of("cpu", 0.01, 0)} % of a core`
    );
  }
}
