import type { Diagnostic, Generator, GeneratorError, Instance, Target } from '../index.js';

export interface Entry {
  kind: 'file' | 'dir' | 'symlink' | 'template';
  content: Uint8Array | string | undefined;
  /** The content as text. */
  text: string;
  mode: number;
  owner: { user: string; group: string } | null;
  onConflict: string;
  format?: string;
}
export interface Step { entries: Record<string, Entry>; actions: { tag: 'edit' | 'run' | 'service'; val: any }[]; notes: string[]; rebootRequired: boolean }
export interface Lock { pins: any[]; state?: Uint8Array; maxOutput: number; needsInstance: boolean; freshForS: number | null }
export interface Limits {
  outputBytes: number; outputEntries: number; logBytes: number; fetches: number; fetchBytes: number; handles: number;
  scratchBytes: number; cacheBytes: number;
}
export const LIMITS: Limits;
export const TARGET: Target;

/** A host in the test's own memory: `new Host({files: {'https://…': 'bytes'}}).launch(generator, config)`. */
export class Host {
  constructor(options?: {
    /** The network: URL to bytes, or to the error that it gives. */
    files?: Record<string, string | Uint8Array | GeneratorError>;
    /** URL prefixes that the operator gave; by default the URLs of `files`. */
    grants?: string[];
    /** Names of secrets that the tenant owns. */
    secrets?: string[];
    inventory?: Record<string, string>;
    limits?: Partial<Limits>;
    target?: Target;
  });
  readonly log: { level: string; message: string; fields: Record<string, string> }[];
  /** URLs asked for so far. */
  readonly fetched: string[];
  describe(author: Generator<any>): any;
  validate<C>(author: Generator<C>, config: C, target?: Target): Diagnostic[];
  resolve<C>(author: Generator<C>, config: C, previous?: Lock): Lock;
  generate<C>(author: Generator<C>, config: C, lock: Lock, instance?: Instance): Step;
  /** All calls, in the host's order. Throws what a launch would fail with. */
  launch<C>(author: Generator<C>, config: C, instance?: Instance): Step;
}
