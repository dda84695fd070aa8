/** Where a wallet keeps things in a browser: named values, keys of WebCrypto among them. */

/** Named values; keys that cannot be extracted may be among them, so values are structured clones, not text. */
export interface Database {
  get(name: string): Promise<unknown>;
  put(name: string, value: unknown): Promise<void>;
  delete(name: string): Promise<void>;
  /** The names that begin so. */
  names(prefix: string): Promise<string[]>;
  clear(): Promise<void>;
}

const STORE = "values";

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** IndexedDB; opened at the first use. */
export class IndexedDatabase implements Database {
  readonly #name: string;
  #opened: Promise<IDBDatabase> | undefined;

  constructor(name: string) {
    this.#name = name;
  }

  #open(): Promise<IDBDatabase> {
    this.#opened ??= new Promise((resolve, reject) => {
      const request = indexedDB.open(this.#name, 1);
      request.onupgradeneeded = () => request.result.createObjectStore(STORE);
      request.onsuccess = () => {
        // Another tab that upgrades or deletes must not wait for this one.
        request.result.onversionchange = () => {
          request.result.close();
          this.#opened = undefined;
        };
        resolve(request.result);
      };
      request.onerror = () => reject(request.error);
    });
    return this.#opened;
  }

  async #run<T>(mode: IDBTransactionMode, work: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
    const transaction = (await this.#open()).transaction(STORE, mode, mode === "readwrite" ? { durability: "strict" } : {});
    const result = settled(work(transaction.objectStore(STORE)));
    const complete = new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error);
    });
    await Promise.all([result, complete]);
    return result;
  }

  get(name: string): Promise<unknown> {
    return this.#run("readonly", (store) => store.get(name));
  }

  async put(name: string, value: unknown): Promise<void> {
    await this.#run("readwrite", (store) => store.put(value, name));
  }

  async delete(name: string): Promise<void> {
    await this.#run("readwrite", (store) => store.delete(name));
  }

  async names(prefix: string): Promise<string[]> {
    const range = IDBKeyRange.bound(prefix, `${prefix}\uffff`);
    return (await this.#run("readonly", (store) => store.getAllKeys(range))) as string[];
  }

  async clear(): Promise<void> {
    await this.#run("readwrite", (store) => store.clear());
  }
}
