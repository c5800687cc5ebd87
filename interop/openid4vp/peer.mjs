// The other side of the tests: a verifier and a wallet made of
// @openid4vc/openid4vp; what the package leaves to its caller is in
// callbacks.mjs.
//
// Each line of standard input is a JSON array of tasks {"do": name, …}, each
// line of standard output the array of their answers, in order: {"ok": true, …}
// or {"ok": false, "why": "…"}.
// Certificates are DER in base64, keys are JWKs. A transaction is told by the id
// that the task which began it answered.

import { createInterface } from 'node:readline'
import {
  createOpenid4vpAuthorizationRequest, createOpenid4vpAuthorizationResponse, extractEncryptionJwkFromJwks, Openid4vpVerifier,
  parseOpenid4vpAuthorizationRequest, parseOpenid4vpAuthorizationResponse, resolveOpenid4vpAuthorizationRequest,
  submitOpenid4vpAuthorizationResponse,
} from '@openid4vc/openid4vp'
import { setGlobalConfig } from '@openid4vc/utils'
import { decodeProtectedHeader } from 'jose'
import {
  algorithmOf, decrypter, didOf, encryptJwe, getX509CertificateMetadata, hash, newEncryptionKey, publicOf, signer, thumbprint, verifier,
} from './callbacks.mjs'

// Our verifier listens on http://localhost in the tests.
setGlobalConfig({ allowInsecureUrls: true })

const begun = [] // transactions of either role

const begin = (transaction) => begun.push(transaction) - 1

const withoutPrivate = ({ d, ...jwk }) => jwk

const encrypted = (mode) => mode.endsWith('.jwt')

// jwtSigner is how a verifier says who signs: by its certificates, by a DID, or
// in a way of which the package knows nothing: as it was registered, or by the
// attestation in the header.
function jwtSigner({ key, chain, did }) {
  const alg = algorithmOf(key)
  if (chain) return { method: 'x5c', alg, x5c: chain }
  return did ? { method: 'did', alg, didUrl: `${didOf(key)}#0` } : { method: 'custom', alg }
}

const create = ({ request, sign, requestUri, scheme }, walletNonce) => createOpenid4vpAuthorizationRequest({
  scheme,
  authorizationRequestPayload: { ...request, wallet_nonce: walletNonce },
  wallet: walletNonce ? { expectedNonce: walletNonce } : undefined,
  jar: sign && {
    requestUri, jwtSigner: jwtSigner(sign), expiresInSeconds: 300, additionalJwtPayload: sign.audience && { aud: sign.audience },
  },
  callbacks: { signJwt: sign && signer(sign.key, sign.attestation && { jwt: sign.attestation }), encryptJwe },
})

// bound is what presentations have to be bound to, as a verifier or wallet sees it.
const bound = (request, encryption, clientId, origin) => ({
  clientId, nonce: request.nonce, responseUri: request.response_uri, origin, thumbprint: encryption && thumbprint(encryption),
})

const verifierTasks = {
  // did is the name of a verifier that has no certificate.
  async did({ key }) {
    return { did: didOf(key) }
  },

  // ask begins a transaction as a verifier: payload is the request, sign has the
  // key and the certificates that it is signed with, if it is to be. Without
  // requestUri the request goes by value; origin has it go through the Digital
  // Credentials API. scheme is that of the link.
  async ask({ payload, sign, requestUri, origin, scheme }) {
    const encryption = encrypted(payload.response_mode) ? newEncryptionKey() : undefined
    const jwks = encryption && { keys: [withoutPrivate(encryption)] }
    const request = { ...payload, client_metadata: { ...payload.client_metadata, ...(jwks && { jwks }) } }
    const transaction = { encryption, request, sign, requestUri, origin, scheme }
    const { authorizationRequest, authorizationRequestObject, jar } = await create(transaction)
    return {
      id: begin(transaction), link: authorizationRequest, object: jar?.authorizationRequestJwt, request: authorizationRequestObject,
      bound: bound(request, encryption, request.client_id, origin),
    }
  },

  // object makes the request object once more, for a wallet that posted a nonce.
  async object({ id, walletNonce }) {
    const { jar } = await create(begun[id], walletNonce)
    return { object: jar.authorizationRequestJwt }
  },

  // read reads what a wallet answered: response are the parameters of the form,
  // or the data of the Digital Credentials API.
  async read({ id, response }) {
    const { encryption, request, origin } = begun[id]
    const parsed = await parseOpenid4vpAuthorizationResponse({
      authorizationResponse: response, authorizationRequestPayload: request, origin,
      callbacks: { decryptJwe: encryption && decrypter(encryption), verifyJwt: verifier({}) },
    })
    return {
      presentations: parsed.dcql?.presentations ?? { '': parsed.pex.presentations }, submission: parsed.pex?.presentationSubmission,
      header: response.response && decodeProtectedHeader(response.response),
    }
  },

  // authorised compares the hashes in presentations, by credential, with the
  // transaction data of the request.
  async authorised({ id, hashes }) {
    const matched = await new Openid4vpVerifier({ callbacks: { hash } })
      .verifyTransactionData({ transactionData: begun[id].request.transaction_data, credentials: hashes })
    return { authorised: matched.map((m) => m.credentialId) }
  },
}

// walletMetadata is what this wallet tells about itself where it is asked.
const walletMetadata = {
  vp_formats_supported: { mso_mdoc: { issuerauth_alg_values: [-7], deviceauth_alg_values: [-7] }, 'dc+sd-jwt': { 'sd-jwt_alg_values': ['ES256'] } },
  client_id_prefixes_supported: ['x509_hash', 'x509_san_dns', 'redirect_uri', 'decentralized_identifier'],
  request_object_signing_alg_values_supported: ['ES256'],
  authorization_encryption_alg_values_supported: ['ECDH-ES'],
  authorization_encryption_enc_values_supported: ['A128GCM', 'A256GCM'],
}

const requestKey = newEncryptionKey() // requests may be encrypted to it

const walletTasks = {
  // metadata is what the wallet would post to a request_uri, were it as it should.
  async metadata() {
    return { metadata: { ...walletMetadata, jwks: { keys: [withoutPrivate(requestKey)] } } }
  },

  // open begins a transaction as a wallet: request is a link, or the data of
  // the Digital Credentials API. known are those who vouch for verifiers: anchors,
  // attester, and the key of one registered. object stands in for what is fetched.
  async open({ request, known, origin, object, walletNonce }) {
    const { params } = parseOpenid4vpAuthorizationRequest({ authorizationRequest: request })
    const { authorizationRequestPayload: payload, client, dcql, pex, transactionData } = await resolveOpenid4vpAuthorizationRequest({
      authorizationRequestPayload: params, origin,
      wallet: { metadata: walletMetadata, nonce: walletNonce, expectedNonce: walletNonce },
      callbacks: {
        hash, getX509CertificateMetadata, verifyJwt: verifier(known ?? {}), decryptJwe: decrypter(requestKey),
        fetch: object ? async () => new Response(object) : fetch,
      },
    })
    const mode = payload.response_mode
    const encryption = encrypted(mode)
      ? extractEncryptionJwkFromJwks(payload.client_metadata.jwks, { supportedAlgValues: walletMetadata.authorization_encryption_alg_values_supported })
      : undefined
    return {
      id: begin({ request: payload, origin }), bound: bound(payload, encryption, client.effective, origin), prefix: client.prefix, mode,
      query: dcql?.query, definition: pex?.presentation_definition, transactionData, verifierInfo: payload.verifier_info,
    }
  },

  // answer sends presentations, or an error, where the request says; through the
  // Digital Credentials API it answers them. recipient has them encrypted to
  // another key than the request's; nonce is the wallet's own, of drafts before
  // version 1.0.
  async answer({ id, payload, recipient, nonce }) {
    const { request, origin } = begun[id]
    const { authorizationResponsePayload, jarm } = await createOpenid4vpAuthorizationResponse({
      authorizationRequestPayload: request, authorizationResponsePayload: payload, origin,
      jarm: encrypted(request.response_mode) ? { encryption: { jwk: recipient, nonce }, serverMetadata: walletMetadata } : undefined,
      callbacks: { encryptJwe },
    })
    if (!request.response_uri) return { response: jarm ? { response: jarm.responseJwt } : authorizationResponsePayload }
    const { response } = await submitOpenid4vpAuthorizationResponse({
      authorizationRequestPayload: request, authorizationResponsePayload, jarm, callbacks: { fetch },
    })
    return { status: response.status, reply: await response.json() }
  },
}

const tasks = { ...verifierTasks, ...walletTasks }

async function answer(task) {
  try {
    return { ok: true, ...(await tasks[task.do](task)) }
  } catch (err) {
    return { ok: false, why: [err, err.cause].filter(Boolean).map((e) => `${e.name}: ${e.errorResponse?.error_description ?? e.message}`).join('; ') }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const answers = []
  for (const task of JSON.parse(line)) answers.push(await answer(task))
  process.stdout.write(`${JSON.stringify(answers)}\n`)
}
