"""What becomes of the rows of a file that a declared record is imported from."""

from __future__ import annotations

import gzip

import pytest

from batchbus_strategies import JobRefused, StrategyError
from batchbus_strategies.records import RecordsRefused
from batchbus_strategies.testing import Crash
from tests.strategies.records.customers import Customers, DeletingImport

HEADER = "Email,First Name,Group,Credit Limit,Tags,City\n"
ADA = 'ada@example.com,Ada,Wholesale,1000.50 EUR,"a,b",London\n'
BOB = "bob@example.com,Bob,,,,\n"


async def test_new_records_are_created_with_what_the_file_says_and_the_defaults_of_the_rest(
    customers: Customers,
) -> None:
    job = await customers.run(HEADER + ADA + BOB)
    found = await customers.by_email()
    ada = dict(found["ada@example.com"])
    assert ada.pop("_id").startswith("cus_")
    assert ada.pop("created_at") == ada.pop("updated_at")
    assert ada.pop("revision") == f"{job.id}:1"
    assert ada == {
        "email": "ada@example.com",
        "first_name": "Ada",
        "group": "grp_1",
        "tier": None,
        "channel": None,
        "credit_limit": {"amount": 100050, "currency_code": "eur"},
        "discount": None,
        "status": "active",
        "newsletter": False,
        "tags": ["a", "b"],
        "address": {"city": "London", "zip": None},
        "phones": [],
        "pictures": [],
        "attributes": {},
        "deleted_at": None,
    }
    assert found["bob@example.com"]["tags"] == []
    assert job.kept.count == job.kept.advanced == 2
    assert job.result["outcome"] == {"created": 2}


async def test_the_same_file_again_changes_nothing(customers: Customers) -> None:
    await customers.run(HEADER + ADA + BOB)
    before = await customers.all()
    job = await customers.run(HEADER + ADA + BOB)
    assert await customers.all() == before
    assert job.result["operations"] | {"unchanged": 0} == dict.fromkeys(job.result["operations"], 0)
    assert [line["op"] for line in customers.lines(job, "PLAN")] == ["unchanged", "unchanged"]
    assert job.kept.count == 0


async def test_the_plan_has_the_old_and_the_new_value_of_each_field_and_knows_absent_from_null(
    customers: Customers,
) -> None:
    await customers.services.catalog["customers"].insert_one(
        {"_id": "cus_1", "email": "ada@example.com", "first_name": None, "tags": ["x"], "address": {"city": "Paris"}}
    )
    job = await customers.run(HEADER + ADA)
    (update,) = customers.lines(job, "PLAN")
    assert update["changes"] == {
        "first_name": {"old": None, "new": "Ada"},
        "group": {"new": "grp_1"},
        "credit_limit": {"new": {"amount": 100050, "currency_code": "eur"}},
        "tags": {"old": ["x"], "new": ["a", "b"]},
        "address.city": {"old": "Paris", "new": "London"},
    }
    (ada,) = await customers.all()
    assert ada["address"] == {"city": "London"}
    assert ada["revision"] == f"{job.id}:1"
    assert job.result["outcome"] == {"updated": 1}


async def test_an_empty_cell_clears_what_may_be_empty_and_leaves_the_rest(customers: Customers) -> None:
    await customers.run(HEADER + ADA)
    await customers.run("Email,First Name,Status,Newsletter,Tags\nada@example.com,,,,\n")
    (ada,) = await customers.all()
    assert (ada["first_name"], ada["status"], ada["newsletter"], ada["tags"]) == (None, "active", False, [])
    assert ada["address"]["city"] == "London", "a column that the file does not have leaves its field alone"


@pytest.mark.parametrize(
    "header",
    ["E-mail,FIRST NAME", "email,first_name", "E MAIL,First-Name", "Email,first name "],
)
async def test_columns_are_matched_as_people_write_them(customers: Customers, header: str) -> None:
    await customers.run(f"{header}\nada@example.com,Ada\n")
    assert (await customers.by_email())["ada@example.com"]["first_name"] == "Ada"


async def test_a_mapping_says_what_the_columns_of_a_foreign_file_are(customers: Customers) -> None:
    columns = {"Mail address": "Email", "Vorname": "First Name", "Notes": None}
    await customers.run("Mail address,Vorname,Notes\nada@example.com,Ada,nice\n", columns=columns)
    assert (await customers.by_email())["ada@example.com"]["first_name"] == "Ada"


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("Email,Frist Name", 'unknown column "Frist Name" (did you mean "First Name"?)'),
        ("First Name,Group", 'there is no column "Email"'),
        ("Email,E-mail", '"Email" and "E-mail", which are the same column'),
        ("Email,Email", 'two columns "Email"'),
        ("Email,,Group", "column 2 has no name"),
        ("Email,Phone 0", 'unknown column "Phone 0" (did you mean "Phone 1"?)'),
        ("Email,Phone 1,phone 1", '"Phone 1" and "phone 1"'),
        ("Email,_delete", 'unknown column "_delete"'),
        ("Title,Price", "nor any other of customer files"),
    ],
)
async def test_a_header_that_leaves_a_doubt_is_refused_before_the_job_exists(
    customers: Customers, header: str, says: str
) -> None:
    with pytest.raises(JobRefused) as refused:
        await customers.job(f"{header}\na@example.com,b\n").prepare()
    assert says in str(refused.value)
    assert refused.value.field == "fileKey"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            b'Email,First Name\na@example.com,A\nb@example.com,"B\n',
            "Line 3: a quoted cell that begins in this row is never",
        ),
        (b"Email,First Name\na@example.com,A\nb@example.com,W\xc3\xbcrfel,\xff\n", "Line 3: the byte 0xFF"),
        (b'{"Email": "a@example.com"}\n{"Email": {"a": 1}}\n', 'Line 2, column "Email": an object cannot be in a cell'),
        (gzip.compress(b"Email\n" + b"a@example.com\n" * 9)[:-9], "The gzip file breaks off"),
    ],
    ids=["quote", "encoding", "object", "gzip"],
)
async def test_a_small_file_that_breaks_off_further_down_is_refused_before_the_job_exists(
    customers: Customers, content: bytes, says: str
) -> None:
    with pytest.raises(JobRefused) as refused:
        await customers.job(content, name="c.csv").prepare()
    assert says in str(refused.value)
    assert refused.value.field == "fileKey"


async def test_blanks_around_a_key_make_no_twins_and_an_existing_key_with_blanks_is_found(customers: Customers) -> None:
    await customers.services.catalog["customers"].insert_one({"_id": "cus_1", "email": " old@example.com"})
    job = await customers.run("Email,First Name\n old@example.com,Old\nada@example.com\u00a0,Ada\n")
    found = await customers.by_email()
    assert found[" old@example.com"]["first_name"] == "Old"
    assert found["ada@example.com"]["first_name"] == "Ada"
    assert job.result["outcome"] == {"updated": 1, "created": 1}


async def test_numbered_columns_are_lists_and_equal_values_count_once(customers: Customers) -> None:
    await customers.run(
        "Email,Phone 2,Phone 2 Kind,Phone 1,Picture 1,Picture 2,Picture 3\nada@example.com,2,home,1,p,p,q\n"
    )
    (ada,) = await customers.all()
    assert ada["phones"] == [{"number": "1"}, {"number": "2", "kind": "home"}]
    assert ada["pictures"] == ["p", "q"]


async def test_a_list_keeps_what_its_elements_have_beside_the_columns(customers: Customers) -> None:
    await customers.services.catalog["customers"].insert_one(
        {"_id": "cus_1", "email": "ada@example.com", "phones": [{"number": "1", "verified": True}, {"number": "2"}]}
    )
    await customers.run("Email,Phone 1,Phone 2\nada@example.com,1,3\n")
    (ada,) = await customers.all()
    assert ada["phones"] == [{"number": "1", "verified": True}, {"number": "3"}]


async def test_columns_whose_names_are_data_are_a_dict_of_which_the_file_may_have_a_part(customers: Customers) -> None:
    await customers.run("Email,Attribute Colour,Attribute Size\nada@example.com,red,L\n")
    await customers.run("Email,Attribute Size,Attribute Shape\nada@example.com,,round\n")
    (ada,) = await customers.all()
    assert ada["attributes"] == {"Colour": "red", "Shape": "round"}


async def test_a_reference_must_exist_or_is_created_or_is_skipped_with_a_warning(customers: Customers) -> None:
    job = await customers.run("Email,Tier,Channel\nada@example.com,Gold,Nowhere\nbob@example.com,Gold,\n")
    (tier,) = await customers.all("tiers")
    assert tier["name"] == "Gold"
    assert {found["tier"] for found in await customers.all()} == {tier["_id"]}
    assert job.result["warnings"] == ["Channel: there is no Nowhere; it was skipped"]
    assert [line["op"] for line in customers.lines(job, "PLAN")] == ["reference", "create", "create"]


async def test_a_reference_that_is_skipped_leaves_what_is_there(customers: Customers) -> None:
    await customers.services.catalog["channels"].insert_one({"_id": "ch_1", "name": "Shop"})
    await customers.run("Email,Channel\nada@example.com,Shop\n")
    await customers.run("Email,Channel\nada@example.com,Shpo\n")
    assert (await customers.all())[0]["channel"] == "ch_1"


@pytest.mark.parametrize(
    ("rows", "line", "column", "code"),
    [
        ("x@example.com,Ada,Nobody,,,", 3, "Group", "unknown_reference"),
        ("x@example.com,Ada,Retail,,,", 3, "Group", "unknown_reference"),
        ("x@example.com,Ada,,12,,", 3, "Credit Limit", "bad_amount"),
        (",Ada,,,,", 3, "Email", "missing_key"),
        ("x@example.com,Ada,,,,,more", 3, None, "ragged_row"),
        ("x@example.com,,,,,\nx@example.com,,,,,", 4, None, "duplicate_record"),
        (f"{'x' * 101},Ada,,,,", 3, "Email", "bad_text"),
    ],
)
async def test_a_record_that_cannot_be_used_is_told_with_its_place_and_nothing_is_applied(
    customers: Customers, rows: str, line: int, column: str | None, code: str
) -> None:
    job = customers.job(HEADER + ADA + rows + "\n")
    await job.prepare()
    with pytest.raises(RecordsRefused):
        await job.pre_process()
    (error,) = job.kept.errors
    assert (error.line, error.column, error.code) == (line, column, code)
    assert await customers.all() == []


async def test_skip_leaves_out_whole_records_and_the_error_file_has_them_as_they_came(customers: Customers) -> None:
    bad = "x@example.com,\"X, 'junior'\",Nobody,,,\r\n"
    content = (HEADER + ADA).replace("\n", "\r\n") + bad + BOB.replace("\n", "\r\n")
    job = await customers.run(content, on_error="skip")
    assert sorted(await customers.by_email()) == ["ada@example.com", "bob@example.com"]
    assert job.result["outcome"] == {"created": 2, "refused": 1}
    errors = customers.files.get(job.result["files"]["ERRORS"]).decode()
    head, row = errors.removesuffix("\r\n").split("\r\n")
    assert head == "_errors," + HEADER.strip()
    assert row.endswith("," + bad.strip())
    mended = errors.replace("Nobody", "Wholesale")
    again = await customers.run(mended)
    assert again.result["outcome"] == {"created": 1}
    assert (await customers.by_email())["x@example.com"]["group"] == "grp_1"


async def test_keep_uses_the_rest_of_a_record_that_exists(customers: Customers) -> None:
    await customers.run(HEADER + ADA)
    job = await customers.run("Email,First Name,Discount,Group\nada@example.com,Augusta,much,Nobody\n", on_error="keep")
    assert job.result["outcome"] == {"refused": 1}, "a reference is not left out"
    job = await customers.run(
        "Email,First Name,Discount\nada@example.com,Augusta,much\nnew@example.com,,much\n", on_error="keep"
    )
    found = await customers.by_email()
    assert found["ada@example.com"]["first_name"] == "Augusta"
    assert job.result["outcome"] == {"updated": 1, "refused": 1}
    assert [error.column for error in job.kept.errors] == ["Discount", "Discount"]


async def test_too_many_errors_are_too_many(customers: Customers) -> None:
    rows = "".join(f"{n}@example.com,{'x' if n % 4 else 'Nobody'}\n" for n in range(8))
    content = "Email,Group\n" + rows.replace(",x", ",")
    assert (await customers.run(content, on_error="skip", max_errors="25%")).result["outcome"]["refused"] == 2
    job = customers.job(content, on_error="skip", max_errors=1)
    await job.prepare()
    with pytest.raises(RecordsRefused, match="More than 1"):
        await job.pre_process()


async def test_a_unique_value_is_refused_in_the_file_and_in_the_catalogue(customers: Customers) -> None:
    await customers.run("Email,VAT\nada@example.com,DE1\n")
    job = customers.job("Email,VAT\nbob@example.com,DE1\nc@example.com,DE2\nd@example.com, DE2\n", on_error="skip")
    await job.prepare()
    await job.pre_process()
    assert [(error.line, error.code) for error in job.kept.errors] == [(2, "value_taken"), (4, "duplicate_value")]
    await job.process()
    assert sorted(await customers.by_email()) == ["ada@example.com", "c@example.com"]


async def test_deletes_only_where_the_type_allows_it_and_as_the_file_says(customers: Customers) -> None:
    await customers.run(HEADER + ADA + BOB)
    job = await customers.run("Email,_delete\nada@example.com,TRUE\nbob@example.com,\n", strategy=DeletingImport())
    found = await customers.by_email()
    assert found["ada@example.com"]["deleted_at"] is not None
    assert found["bob@example.com"]["deleted_at"] is None
    assert job.result["outcome"] == {"deleted": 1, "unchanged": 1}
    again = await customers.run(HEADER + ADA, strategy=DeletingImport())
    assert again.result["outcome"] == {"created": 1}, "what is deleted is not there"


async def test_a_limit_refuses_what_would_change_too_much_unless_it_was_confirmed(customers: Customers) -> None:
    await customers.run(HEADER + ADA + BOB)
    content = "Email,_delete\nada@example.com,x\nbob@example.com,x\n"
    job = customers.job(content, strategy=DeletingImport(), max_deletes="50%")
    await job.prepare()
    with pytest.raises(RecordsRefused, match="would delete 2 records, and the limit is 50%"):
        await job.pre_process()
    job.dry_run = True
    await job.pre_process()
    await job.process()
    assert job.result["outcome"] == {"deleted": 2}


async def test_what_somebody_else_changed_since_the_plan_is_a_conflict_and_the_rest_is_applied(
    customers: Customers,
) -> None:
    await customers.run("Email,First Name,City\na@example.com,A,X\nb@example.com,B,X\nc@example.com,C,X\n")
    changes = "Email,First Name\na@example.com,A2\nb@example.com,B2\nc@example.com,C2\nnew@example.com,N\n"
    job = customers.job(changes, on_error="skip")
    await job.prepare()
    await job.pre_process()
    collection = customers.services.catalog["customers"]
    await collection.update_one({"email": "a@example.com"}, {"$set": {"first_name": "Theirs"}})
    await collection.update_one({"email": "b@example.com"}, {"$set": {"address.city": "Theirs"}})
    await collection.insert_one({"_id": "theirs", "email": "new@example.com"})
    await job.process()
    found = await customers.by_email()
    assert found["a@example.com"]["first_name"] == "Theirs"
    assert (found["b@example.com"]["first_name"], found["b@example.com"]["address"]["city"]) == ("B2", "Theirs")
    assert job.result["outcome"] == {"conflict": 2, "updated": 2}
    outcome = {line["key"][0]: line for line in customers.lines(job, "OUTCOME")}
    assert outcome["a@example.com"]["reason"] == "it has another first_name than when the plan was made"
    assert "has been taken since" in outcome["new@example.com"]["reason"]
    assert outcome["b@example.com"]["revision"] == found["b@example.com"]["revision"]
    assert customers.files.get(job.result["files"]["ERRORS"]).decode().count("\r\n") in (0, 3)


@pytest.mark.parametrize("crash_behind", [None, 1, 2], ids=["in one run", "with the chunk done", "with all told"])
async def test_a_conflict_stops_an_import_that_is_to_abort_and_what_was_applied_is_listed(
    customers: Customers, crash_behind: int | None
) -> None:
    await customers.run("Email,First Name\na@example.com,A\nb@example.com,B\nc@example.com,C\n")
    job = customers.job("Email,First Name\na@example.com,A2\nb@example.com,B2\nc@example.com,C2\n")
    await job.prepare()
    await job.pre_process()
    await customers.services.catalog["customers"].update_one({"email": "b@example.com"}, {"$set": {"first_name": "X"}})
    if crash_behind is not None:
        with pytest.raises(Crash):
            await job.process(stop_behind=crash_behind)
    with pytest.raises(StrategyError, match=r"1 records were not written.* line 3: it has another first_name"):
        await job.process()
    assert job.result["outcome"] == {"updated": 1, "conflict": 1}
    assert {name: found["first_name"] for name, found in (await customers.by_email()).items()} == {
        "a@example.com": "A2",
        "b@example.com": "X",
        "c@example.com": "C",
    }
