// The author's API. Everything is synchronous: the host parks the call while it works.

export type OsFamily = 'linux' | 'windows' | 'bsd' | 'other';
export type Conflict = 'fail' | 'replace' | 'keep-existing' | 'backup';
export type TemplateFormat = 'plain' | 'shell' | 'json' | 'yaml' | 'ini';
export type EditFormat = 'ini' | 'json' | 'yaml' | 'toml' | 'key-value' | 'systemd';
export type Quota =
  | 'memory' | 'time' | 'fetch-count' | 'fetch-bytes' | 'output-bytes' | 'output-entries' | 'log-bytes' | 'cache-bytes' | 'handles';

/** Whom the content is for, as far as that may be shared between launches. */
export interface Target {
  os: OsFamily; distro: string; release: string; arch: string; insertionPoint: string;
  /** The job's only clock, in seconds since 1970. */
  sourceDateEpoch: number;
  features: string[];
}

/** One launch's own half. Given to `generate` only where the lock file says `needsInstance`. */
export interface Instance { id: string; profile: string; attributes: Record<string, string> }

export interface Diagnostic {
  severity: 'hint' | 'warning' | 'error';
  /** JSON Pointer (RFC 6901) into the configuration; "" is the whole document. */
  pointer: string;
  /** Stable, kebab-case. */
  code: string;
  message: string;
  hint: string | null;
}

/** What a generator is. */
export interface Descriptor {
  /** `[a-z0-9-]{1,40}`; what `use:` names in a profile. */
  id: string;
  /** Semantic version. */
  version: string;
  title: string;
  summary: string;
  /** JSON Schema 2020-12, as text or parsed. */
  schema: string | object;
  /** Title to configuration; each valid against the schema. */
  examples?: Record<string, string | object>;
  stage?: 'files' | 'packages' | 'late';
  osFamilies?: OsFamily[];
  /** Prefixes that `resolve` wants: `https://example.com/`, or a pointer into the configuration such as `${config:/source/url}`. The operator grants. */
  fetch?: string[];
  /** JSON pointers in the configuration where names of secrets stand. */
  secrets?: string[];
  joinsSteps?: boolean;
}

/** An artefact in the lock file. */
export interface Pin {
  name: string; urls: string[];
  /** `sha256:` and 64 hex digits. */
  digest: string;
  size: number; version?: string; attributes?: Record<string, string>;
}

/** What `resolve` decided. */
export interface LockFile {
  /** Upper bound of the bytes that `generate` will write besides the pins: see `maxOutput`. */
  maxOutput: number;
  pins?: Pin[];
  /** Handed back to `generate`. */
  state?: Blob;
  freshForS?: number;
  /** Run `generate` once per launch and give it the instance. */
  needsInstance?: boolean;
}

/** A lock file on its way back. */
export interface Locked {
  pins: Pin[]; state?: Blob;
  /** The bytes of the pin called `name`. */
  open(name: string): Blob;
}

export interface Summary { notes?: string[]; rebootRequired?: boolean }

/** Turns one step's configuration into content. Nothing is kept between the calls but the lock file. */
export interface Generator<Config> {
  describe(): Descriptor;
  /** What the schema cannot say. Pure, and without a target while a profile is saved. */
  validate?(target: Target | undefined, config: Config): Iterable<Diagnostic>;
  /** Decides every artefact. The only call with a network. */
  resolve(target: Target, config: Config, previous: Locked | undefined): LockFile;
  /** Writes the content from what the lock file names. The same inputs give the same bytes. */
  generate(target: Target, config: Config, locked: Locked, instance: Instance | undefined, sink: Sink): Summary | void;
}

/** Gives its argument back, typed: `export default defineGenerator<Config>({…})`. */
export function defineGenerator<Config>(generator: Generator<Config>): Generator<Config>;

export interface EntryOptions {
  /** 0 to 0o777. */
  mode?: number;
  /** `ada` or `ada:staff`; otherwise root, or whose home it is. */
  owner?: string;
  onConflict?: Conflict;
}

/** Where content goes. Paths are `/etc/motd`, or `~ada/notes.txt` for what lies in a user's home. */
export class Sink {
  /** A file of any size. */
  file(path: string, content: string | Uint8Array | Blob, options?: EntryOptions): void;
  /** Text in which the host fills `{{instance:id}}`, `{{instance:attributes.NAME}}`, `{{secret:NAME}}` per launch. */
  template(path: string, text: string, options?: EntryOptions & { format?: TemplateFormat }): void;
  dir(path: string, options?: EntryOptions): void;
  /** `to` is relative and stays inside the root or the home. */
  symlink(path: string, to: string): void;
  /** The members of an archive below `prefix`, unpacked by the host. Answers how many. */
  unpack(prefix: string, content: Blob, options?: EntryOptions & { format?: 'tar' | 'zip'; stripComponents?: number }): number;
  /** A change of a structured file that is in the guest: JSON Pointers into it, and values. */
  edit(file: string, format: EditFormat, changes: {
    set?: Record<string, unknown>; append?: Record<string, unknown>; remove?: string[]; create?: boolean; onChange?: string[][];
  }): void;
  /** A script for the guest, at most 64 KiB. What varies belongs into `environment`. */
  run(text: string, options?: {
    interpreter?: string; args?: string[]; environment?: Record<string, string>; user?: string; workingDirectory?: string;
  }): void;
  service(unit: string, options?: { user?: string; enable?: boolean; start?: boolean }): void;
}

/** Upper bound of what `write` gives to a sink, for the lock file. */
export function maxOutput(write: (sink: Sink) => void): number;

/** Immutable bytes in the host. */
export class Blob {
  readonly size: number;
  /** `sha256:` and 64 hex digits. */
  readonly digest: string;
  /** At most 1 MiB; short only at the end. */
  read(offset: number, length: number): Uint8Array;
  bytes(limit?: number): Uint8Array;
  text(limit?: number): string;
  json(limit?: number): any;
  decompress(codec: 'gzip' | 'xz' | 'zstd' | 'bzip2', maxSize: number): Blob;
  slice(offset: number, length: number): Blob;
}
export function blob(data: string | Uint8Array): Blob;

/** Where one artefact comes from, as configurations write it. */
export interface Source { url: string; sha256?: string; credential?: string }
export interface Request extends Partial<Source> { urls?: string[]; size?: number; maxSize?: number; maxAge?: number }
export interface Response { content: Blob; finalUrl: string; etag: string | null; fromCache: boolean }
/** Everything that leaves the sandbox. In `generate` only what the lock file pins. */
export namespace fetch {
  function get(request: string | Request): Response;
  /** In parallel; throws the first failure. */
  function getAll(requests: (string | Request)[]): Response[];
}
/** Fetches a source in `resolve`: its pin for the lock file, and its bytes. */
export function pin(name: string, source: Source): { pin: Pin; content: Blob };

type Say = (message: string, fields?: Record<string, unknown>) => void;
/** At most 1 MiB a run; what is dropped is counted, and nothing blocks. */
export const log: { trace: Say; debug: Say; info: Say; warn: Say; error: Say };
export function progress(stage: string, done: number, total?: number): void;
export function isCancelled(): boolean;

/** An error that the contract names. Any other exception reaches the host as `fault`, with file, line and message. */
export class GeneratorError extends Error {
  constructor(tag: 'unsatisfiable' | 'not-found' | 'denied' | 'unsupported' | 'fault', message: string);
  constructor(tag: 'upstream', value: { message: string; retryAfterMs: number | null });
  constructor(tag: 'quota-exceeded', quota: Quota);
  readonly tag: string;
  readonly val: any;
}
/** The configuration is at fault: `new ConfigError('/extensions/0', 'no such extension')`. */
export class ConfigError extends Error {
  constructor(pointer: string, message: string, more?: { code?: string; hint?: string });
  static of(findings: Diagnostic[]): ConfigError;
  readonly findings: Diagnostic[];
}
export function diagnostic(
  pointer: string, message: string, more?: { code?: string; hint?: string; severity?: Diagnostic['severity'] },
): Diagnostic;
/** `pointer('files', 0, 'path')` is `/files/0/path`. */
export function pointer(...tokens: (string | number)[]): string;
/** What is wrong with a path in the guest; undefined when it is good. */
export function pathFault(path: string): string | undefined;
export function linkFault(link: string, to: string): string | undefined;
export function userFault(name: string): string | undefined;
/** UTF-8: a component has no TextEncoder and no TextDecoder. */
export function encode(text: string): Uint8Array;
export function decode(bytes: Uint8Array): string;
