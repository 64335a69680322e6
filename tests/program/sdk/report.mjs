// SPDX-License-Identifier: MIT
// What the scripts here share.

export const text = "hello world";

export function print(value) {
  process.stdout.write(JSON.stringify(value));
}

// The class and status of the error that fn throws.
export async function failure(fn) {
  try {
    await fn();
  } catch (error) {
    return { type: error.constructor.name, status: error.status ?? null, message: error.message };
  }
  return null;
}
