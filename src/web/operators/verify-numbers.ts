/**
 * The operators that find numbers by a regular expression and check their check digits: verifyCC (credit cards), verifyCPF
 * (Brazil), verifySSN (United States), verifySVNR (Austria).
 */
import type { ByteString } from '../value.js';
import { MatchError, operator, type CompileContext, type CompiledOperator } from './operator.js';
import { REGEX_OPTIONS, Regex } from './regex.js';

/** Candidates looked at per value: beyond it the operator reports a limit, so that no value costs its length squared. */
const MAX_CANDIDATES = 1000;

/** The digits of a candidate, whatever separates them. */
function digitsOf(text: ByteString): number[] {
  const digits: number[] = [];
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit >= 0 && digit <= 9) digits.push(digit);
  }
  return digits;
}

function compileNumbers(argument: ByteString, context: CompileContext, isValid: (digits: readonly number[]) => boolean): CompiledOperator {
  const regex = new Regex(argument, context);
  return {
    match: (value, state) => {
      let at = 0;
      for (let candidates = 0; at < value.length; candidates++) {
        if (candidates === MAX_CANDIDATES) {
          state.error = MatchError.PCRE_LIMIT;
          return false;
        }
        const from = regex.search(value, at, state);
        if (from < 0) return false;
        const text = value.slice(from, regex.end);
        if (isValid(digitsOf(text))) {
          state.captureWhole(text);
          return true;
        }
        at = from + 1;
      }
      return false;
    },
    pure: true,
    hint: { kind: 'regex', expression: argument, options: REGEX_OPTIONS },
  };
}

/** ISO/IEC 7812-1, annex B: every second digit from the right counts double. */
function isCardNumber(digits: readonly number[]): boolean {
  if (digits.length === 0) return false;
  let sum = 0;
  for (let i = 0; i < digits.length; i++) {
    const digit = digits[digits.length - 1 - i]!;
    if (i % 2 === 0) sum += digit;
    else sum += digit > 4 ? 2 * digit - 9 : 2 * digit;
  }
  return sum % 10 === 0;
}

function allSame(digits: readonly number[]): boolean {
  return digits.every((digit) => digit === digits[0]);
}

/** Check digit of the first `count` digits of a CPF: weights count + 1 down to 2, modulo 11. */
function cpfCheckDigit(digits: readonly number[], count: number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += digits[i]! * (count + 1 - i);
  const rest = sum % 11;
  return rest < 2 ? 0 : 11 - rest;
}

function isCpf(digits: readonly number[]): boolean {
  return digits.length === 11 && !allSame(digits) && digits[9] === cpfCheckDigit(digits, 9) && digits[10] === cpfCheckDigit(digits, 10);
}

/** What the Social Security Administration never assigned, and sequences that only look like a number. */
function isSsn(digits: readonly number[]): boolean {
  if (digits.length !== 9 || allSame(digits)) return false;
  if (digits.every((digit, i) => i === 0 || digit === digits[i - 1]! + 1)) return false;
  const area = Number(digits.slice(0, 3).join(''));
  const group = Number(digits.slice(3, 5).join(''));
  const serial = Number(digits.slice(5).join(''));
  return area > 0 && area < 740 && area !== 666 && group > 0 && serial > 0;
}

const SVNR_WEIGHTS = [3, 7, 9, 0, 5, 8, 4, 2, 1, 6] as const;

function isSvnr(digits: readonly number[]): boolean {
  if (digits.length !== 10 || allSame(digits)) return false;
  const sum = SVNR_WEIGHTS.reduce<number>((total, weight, i) => total + weight * digits[i]!, 0);
  return sum % 11 === digits[3];
}

export const verifyCC = operator({
  name: 'verifyCC',
  argument: 'required',
  help: 'The regular expression finds a credit card number whose check digit (Luhn) is right; captures it.',
  compile: (argument, context) => compileNumbers(argument, context, isCardNumber),
});

export const verifyCPF = operator({
  name: 'verifyCPF',
  argument: 'required',
  help: 'The regular expression finds a Brazilian CPF number whose check digits are right; captures it.',
  compile: (argument, context) => compileNumbers(argument, context, isCpf),
});

export const verifySSN = operator({
  name: 'verifySSN',
  argument: 'required',
  help: 'The regular expression finds a possible social security number of the United States; captures it.',
  compile: (argument, context) => compileNumbers(argument, context, isSsn),
});

export const verifySVNR = operator({
  name: 'verifySVNR',
  argument: 'required',
  help: 'The regular expression finds an Austrian social insurance number whose check digit is right; captures it.',
  compile: (argument, context) => compileNumbers(argument, context, isSvnr),
});
