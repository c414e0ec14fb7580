// Everything that a shop's scripts do with Medusa's client, against the server that the environment names.

const assert = require("node:assert/strict")
const { test } = require("node:test")

const axios = require("axios")
const Medusa = require("@medusajs/medusa-js").default

const { SERVER, API_TOKEN, EMAIL, PASSWORD } = process.env
const HEADER = "Product Handle,Product Title,Product Status,Variant Title,Variant SKU,Variant Inventory Quantity," +
    "Price EUR,Option 1 Name,Option 1 Value"
const ROWS = ["oak-table,Oak table,published,Large,TABLE-L,3,249.5,Size,large",
    "oak-table,Oak table,published,Small,TABLE-S,5,149,Size,small",
    "oak-chair,Oak chair,draft,One size,CHAIR,12,79.9,Size,one"]

/** The client as it is, but that axios 0.24 cannot send the FormData that Node has: it is turned into bytes here. */
function client(options) {
    const send = axios.defaults.adapter
    const axiosAdapter = async (config) => {
        if (config.data instanceof FormData) {
            const form = new Response(config.data)
            config.headers = { ...config.headers, "Content-Type": form.headers.get("content-type") }
            config.data = Buffer.from(await form.arrayBuffer())
        }
        return send(config)
    }
    return new Medusa({ baseUrl: SERVER, maxRetries: 0, axiosAdapter, ...options })
}

const { batchJobs, uploads } = client({ apiKey: API_TOKEN }).admin

const csv = (name, rows) => new File([[HEADER, ...rows, ""].join("\n")], name, { type: "text/csv" })

const uploaded = async (name, rows = ROWS) => (await uploads.createProtected(csv(name, rows))).uploads[0].key

const dryRun = async () => (await batchJobs.create({ type: "product-export", context: {}, dry_run: true })).batch_job

const ids = (listed) => listed.batch_jobs.map((job) => job.id)

const refusedWith = (status, body) => (error) => {
    assert.equal(error.response?.status, status, error)
    assert.deepEqual(error.response.data, body)
    return true
}

/** Follows the job's events until that one, and returns the job. */
async function until(id, event) {
    const headers = { "x-medusa-access-token": API_TOKEN }
    const answer = await fetch(`${SERVER}/admin/batch-jobs/${id}/events`, { headers })
    assert.equal(answer.status, 200)
    let text = ""
    for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) {
        text += piece
        if (text.includes(`event: ${event}\n`)) {
            return (await batchJobs.retrieve(id)).batch_job
        }
        assert.doesNotMatch(text, /event: batch\.(failed|canceled)\n/)
    }
    assert.fail(`the stream ended before ${event}:\n${text}`)
}

test("a session is opened, known by its cookie, and ended", async () => {
    const { auth } = client().admin
    const { user, response } = await auth.createSession({ email: EMAIL, password: PASSWORD })
    assert.equal(user.email, EMAIL)
    assert.match(user.id, /^usr_[0-9A-Z]{26}$/)
    const [cookie] = response.headers["set-cookie"]
    assert.match(cookie, /^connect\.sid=.*; HttpOnly/i)

    const asBrowser = client({ customHeaders: { Cookie: cookie.split(";")[0] } }).admin
    assert.deepEqual((await asBrowser.auth.getSession()).user, user)
    assert.equal((await asBrowser.batchJobs.list()).offset, 0)
    assert.equal((await asBrowser.auth.deleteSession()).response.status, 200)
    await assert.rejects(asBrowser.auth.getSession(), refusedWith(401, "Unauthorized"))
})

test("a bearer token is given for a password, and a wrong password is refused", async () => {
    const { auth } = client().admin
    const { access_token } = await auth.getToken({ email: EMAIL, password: PASSWORD })
    const bearer = client({ customHeaders: { Authorization: `Bearer ${access_token}` } }).admin
    assert.equal((await bearer.auth.getSession()).user.email, EMAIL)
    await assert.rejects(auth.getToken({ email: EMAIL, password: "wrong" }), refusedWith(401, "Unauthorized"))
    await assert.rejects(auth.createSession({ email: EMAIL }), refusedWith(400, {
        type: "invalid_data",
        message: "password should not be empty, password must be a string",
    }))
    await assert.rejects(client({ apiKey: "nobody's" }).admin.batchJobs.list(), refusedWith(401, "Unauthorized"))
})

test("an upload becomes an import, is looked at, confirmed and done, and comes out again as an export", async () => {
    const fileKey = await uploaded("furniture.csv")
    const { batch_job: made, response } = await batchJobs.create({
        type: "product-import", context: { fileKey }, dry_run: true,
    })
    assert.equal(response.status, 201)
    assert.deepEqual(
        [made.type, made.status, made.dry_run, made.context, made.result],
        ["product-import", "created", true, { fileKey }, null],
    )

    const looked = await until(made.id, "batch.pre_processed")
    assert.equal(looked.status, "pre_processed")
    assert.deepEqual(looked.result.operations, {
        PRODUCT_CREATE: 2, PRODUCT_UPDATE: 0, VARIANT_CREATE: 3, VARIANT_UPDATE: 0,
    })
    assert.match(looked.result.stat_descriptors[0].message, /^There will be 2 products created/)

    const { batch_job: confirmed } = await batchJobs.confirm(made.id)
    assert.ok(confirmed.confirmed_at)
    const imported = await until(made.id, "batch.completed")
    assert.equal(imported.result.advancement_count, imported.result.count)

    const { batch_job: asked } = await batchJobs.create({ type: "product-export", context: {}, dry_run: false })
    const exported = await until(asked.id, "batch.completed")
    assert.equal(exported.result.count, 2)
    const { download_url } = await uploads.getPresignedDownloadUrl({ file_key: exported.result.file_key })
    const file = await fetch(download_url)
    assert.equal(file.headers.get("content-type"), "text/csv; charset=UTF-8")
    const [header, ...rows] = (await file.text()).trimEnd().split("\r\n").map((line) => line.split(";"))
    assert.equal(rows.length, ROWS.length)
    for (const row of rows) {
        const given = ROWS.find((line) => line.includes(row[header.indexOf("Variant SKU")])).split(",")
        for (const [column, name] of HEADER.split(",").entries()) {
            assert.equal(row[header.indexOf(name)], given[column], name)
        }
    }
})

test("jobs are listed with every option that the client documents", async () => {
    const made = [await dryRun(), await dryRun(), await dryRun()].map((job) => job.id)
    const [first, second, third] = made
    for (const id of made) {
        await until(id, "batch.pre_processed")
    }
    const { canceled_at } = (await batchJobs.cancel(first)).batch_job

    const page = await batchJobs.list({ id: made, limit: 1, offset: 1 })
    assert.deepEqual([ids(page), page.count, page.limit, page.offset], [[second], 3, 1, 1])
    assert.deepEqual(ids(await batchJobs.list({ id: made })), [third, second, first])
    assert.deepEqual(ids(await batchJobs.list({ id: made, order: "created_at" })), made)
    assert.deepEqual(ids(await batchJobs.list({ id: made, order: "-id" })), [...made].sort().reverse())
    assert.equal((await batchJobs.list({ id: made, type: ["product-export", "product-import"] })).count, 3)
    assert.deepEqual(ids(await batchJobs.list({ id: made, type: ["product-import"] })), [])

    const [shown] = (await batchJobs.list({ id: [second], expand: "created_by_user", fields: "id,type" })).batch_jobs
    assert.equal(shown.created_by_user.email, EMAIL)
    assert.equal("context" in shown, false)

    const { created_at, updated_at, pre_processed_at } = (await batchJobs.retrieve(first)).batch_job
    for (const [name, time] of Object.entries({ created_at, updated_at, pre_processed_at, canceled_at })) {
        for (const [bounds, expected] of [
            [{ gte: time, lte: time }, [first]],
            [{ gt: time }, []],
            [{ lt: time }, []],
        ]) {
            assert.deepEqual(ids(await batchJobs.list({ id: [first], [name]: bounds })), expected, name)
        }
    }
    assert.deepEqual(ids(await batchJobs.list({ id: made, canceled_at: null })), [third, second])
    assert.deepEqual(ids(await batchJobs.list({ id: made, pre_processed_at: null })), [])
    for (const name of ["confirmed_at", "completed_at", "failed_at"]) {
        assert.deepEqual(ids(await batchJobs.list({ id: made, [name]: null })), [third, second, first], name)
        assert.deepEqual(ids(await batchJobs.list({ id: made, [name]: { gt: "2000-01-01T00:00:00Z" } })), [], name)
    }
})

test("what cannot be listed is refused by name", async () => {
    await assert.rejects(batchJobs.list({ limit: "many" }), refusedWith(400, {
        type: "invalid_data",
        message: "limit must be a number conforming to the specified constraints",
    }))
    await assert.rejects(batchJobs.list({ shade: "blue" }), refusedWith(400, {
        type: "invalid_data",
        message: "property shade should not exist",
    }))
})

test("a job is retrieved, canceled twice, and then neither confirmed nor found under another name", async () => {
    const { id } = await dryRun()
    await until(id, "batch.pre_processed")
    const { batch_job: canceled } = await batchJobs.cancel(id)
    assert.equal(canceled.status, "canceled")
    assert.deepEqual((await batchJobs.cancel(id)).batch_job.canceled_at, canceled.canceled_at)
    await assert.rejects(batchJobs.confirm(id), refusedWith(400, {
        type: "not_allowed",
        message: "Cannot confirm processing for a batch job that is not pre processed",
    }))
    await assert.rejects(batchJobs.retrieve("batch_unknown"), refusedWith(404, {
        type: "not_found",
        message: "Batch job with id batch_unknown was not found",
    }))
    await assert.rejects(batchJobs.create({ type: "unknown", context: {} }), refusedWith(404, {
        type: "not_found",
        message: "Unable to find a BatchJob strategy with the type unknown",
    }))
})

test("a client that may retry makes one job for each request", async () => {
    const patient = client({ apiKey: API_TOKEN, maxRetries: 3 }).admin.batchJobs
    const made = []
    for (let n = 0; n < 2; n++) {
        const answer = await patient.create({ type: "product-export", context: {}, dry_run: true })
        assert.match(answer.response.config.headers["Idempotency-Key"], /^[0-9a-f-]{36}$/)
        made.push(answer.batch_job.id)
    }
    assert.notEqual(made[0], made[1])
})

test("several files go up at once, and are fetched and deleted one by one", async () => {
    const { uploads: received } = await uploads.create([csv("lamp.csv", []), csv("größe.csv", ROWS)])
    assert.equal(received.length, 2)
    for (const [number, { url, key }] of received.entries()) {
        assert.equal(await (await fetch(url)).text(), [HEADER, ...(number ? ROWS : []), ""].join("\n"))
        const { response, ...deleted } = await uploads.delete({ file_key: key })
        assert.deepEqual(deleted, { id: key, object: "file", deleted: true })
        assert.equal((await fetch(url)).status, 404)
    }
})

test("a protected file is fetched with a link that was made for it, and in no other way", async () => {
    const file_key = await uploaded("secret.csv", [])
    const { download_url } = await uploads.getPresignedDownloadUrl({ file_key })
    assert.equal(await (await fetch(download_url)).text(), `${HEADER}\n`)
    assert.equal((await fetch(download_url.split("?")[0])).status, 404)
    await uploads.delete({ file_key })
    assert.equal((await fetch(download_url)).status, 404)
    await assert.rejects(uploads.getPresignedDownloadUrl({ file_key }), refusedWith(404, {
        type: "not_found",
        message: `There is no file with the key ${file_key}`,
    }))
})
