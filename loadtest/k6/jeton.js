// What the scenarios share: where the server is, who asks, and what is expected of an answer.
//
//   JETON_URL             the server (default http://127.0.0.1:8080)
//   JETON_CLIENT_ID       a client, and
//   JETON_CLIENT_SECRET   its secret; or, with
//   JETON_CLIENTS         this many of the clients that loadtest/seed.rs makes, which share that secret
//   RATE, DURATION        requests per second and for how long, where a scenario has them
//   P99_MS, MOST_DROPPED  the thresholds: latency of 99 % of all answers, requests that k6 could not even start

import http from 'k6/http'
import encoding from 'k6/encoding'
import { check } from 'k6'

export const base = __ENV.JETON_URL || 'http://127.0.0.1:8080'
export const rate = Number(__ENV.RATE || 500)
export const duration = __ENV.DURATION || '30s'
export const p99 = Number(__ENV.P99_MS || 50)
const clients = Number(__ENV.JETON_CLIENTS || 0)
const secret = __ENV.JETON_CLIENT_SECRET

// Anybody of them.
export function client() {
  if (clients === 0) return { id: __ENV.JETON_CLIENT_ID, secret }
  return { id: `c-${String(Math.floor(Math.random() * clients)).padStart(10, '0')}`, secret }
}

export function basic({ id, secret }) {
  return { headers: { Authorization: `Basic ${encoding.b64encode(`${id}:${secret}`)}` } }
}

export const grant = { grant_type: 'client_credentials' }

export function post(path, form, params = {}) {
  return http.post(base + path, form, { ...params, tags: { name: path } })
}

// True for a token response; k6 counts it among the checks.
export function isToken(answer) {
  return check(answer, {
    'status is 200': (answer) => answer.status === 200,
    'a signed token for an hour': (answer) => {
      const body = answer.status === 200 ? answer.json() : {}
      return body.token_type === 'Bearer' && body.expires_in === 3600 && body.access_token.split('.').length === 3
    },
    'nobody may keep it': (answer) => answer.headers['Cache-Control'] === 'no-store',
  })
}

// True for a refusal with this status and error code, or for one because there were too many wrong secrets.
export function isRefusal(answer, status, error) {
  return check(answer, {
    [`${status} ${error}`]: (answer) =>
      answer.status === 429 || (answer.status === status && answer.json().error === error),
  })
}

// An open loop: as many a second, whatever becomes of those before.
export function steady(extra = {}) {
  const scenario = {
    executor: 'constant-arrival-rate',
    rate,
    timeUnit: '1s',
    duration,
    preAllocatedVUs: 50,
    maxVUs: 1000,
  }
  return { scenarios: { steady: scenario }, thresholds: { ...thresholds, ...extra } }
}

// Who is needed in the spike is there before it: k6 drops what is due while it makes one more.
export function ramping(startRate, stages) {
  return { executor: 'ramping-arrival-rate', startRate, timeUnit: '1s', preAllocatedVUs: 400, maxVUs: 2000, stages }
}

export const thresholds = {
  checks: ['rate==1'],
  http_req_failed: ['rate==0'],
  http_req_duration: [`p(99)<${p99}`],
  dropped_iterations: [`count<=${__ENV.MOST_DROPPED || 0}`],
}
