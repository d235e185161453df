// Verifiers that fetch the published keys.

import http from 'k6/http'
import { check } from 'k6'
import { base, steady } from './jeton.js'

export const options = steady()

export default function () {
  const answer = http.get(`${base}/.well-known/jwks.json`)
  check(answer, {
    'keys are published': (answer) => answer.status === 200 && answer.json().keys.length > 0,
    'they may be kept': (answer) => /max-age=\d+/.test(answer.headers['Cache-Control']),
  })
}
