"""The views over a lake, as SQL of DuckDB's; each may use those before it."""

# One row each time a revision of an article was seen: when it was fetched, and when its page
# was looked at again. A look counts only where the lake has what it saw.
SIGHTS = """
create view sights as
with stored as (
  select article_id, revision, fetched_at as seen_at from passages where position = 0
)
select * from stored
union all
select checks.article_id, checks.revision, checks.checked_at
from checks semi join stored
  on checks.article_id = stored.article_id and checks.revision = stored.revision
"""

# One row a revision of an article, its text put together from its passages.
REVISIONS = """
create view revisions as
with texts as (
  select article_id, revision, any_value(url) as url,
    any_value(canonical_url) as canonical_url, any_value(source) as source,
    any_value(feed_url) as feed_url, any_value(publisher) as publisher,
    any_value(section) as section, any_value(title) as title, any_value(authors) as authors,
    any_value(lang) as lang, any_value(published_at) as published_at,
    any_value(published_from) as published_from,
    any_value(published_offset_minutes) as published_offset_minutes,
    any_value(modified_at) as modified_at, min(fetched_at) as fetched_at,
    any_value(text_from) as text_from,
    count(*)::integer as passages,
    list_sort(list_distinct(flatten(list(coalesce(topics, []))))) as topics,
    string_agg(text || separator, '' order by position) as text,
    any_value(model) as model, any_value(cluster_id) as cluster_id,
    any_value(cluster_source) as cluster_source, any_value(date) as date
  from passages group by article_id, revision
), seen as (
  select article_id, revision, max(seen_at) as last_seen_at from sights
  group by article_id, revision
)
select texts.article_id, texts.revision,
  row_number() over (
    partition by texts.article_id order by fetched_at, texts.revision
  )::integer as number,
  row_number() over (
    partition by texts.article_id order by last_seen_at desc, texts.revision
  ) = 1 as is_latest,
  last_seen_at, texts.* exclude (article_id, revision)
from texts join seen using (article_id, revision)
"""

# One row an article: the revision that was seen last.
ARTICLES = """
create view articles as
with history as (
  select *, min(fetched_at) over (partition by article_id) as first_seen_at,
    count(*) over (partition by article_id)::integer as revisions
  from revisions
)
select article_id, revision, url, canonical_url, source, feed_url, publisher, section, title,
  authors, lang, first_seen_at, published_at, published_from, published_offset_minutes,
  modified_at, fetched_at, last_seen_at, revisions, text_from, passages, topics, text, model,
  cluster_id, cluster_source, date
from history where is_latest
"""

# The passages of those revisions.
LATEST_PASSAGES = """
create view latest_passages as
with latest as (
  select article_id, revision from sights
  qualify row_number() over (partition by article_id order by seen_at desc, revision) = 1
)
select passages.* from passages semi join latest
  on passages.article_id = latest.article_id and passages.revision = latest.revision
"""

# One row a story: the articles that tell it in nearly the same words, by their latest
# revisions. Its title and address are those of the first one that is there.
STORIES = """
create view stories as
with told as (
  select *, coalesce(cluster_id, article_id) as story, coalesce(cluster_source, source) as outlet
  from articles
)
select story as cluster_id, min(first_seen_at) as first_seen_at,
  any_value(outlet) as first_source, arg_min(title, first_seen_at) as title,
  arg_min(coalesce(canonical_url, url), first_seen_at) as url,
  min(published_at) as published_at, max(last_seen_at) as last_seen_at,
  count(*)::integer as articles, count(distinct source)::integer as outlets,
  list_sort(list(distinct source)) as sources,
  list_sort(list_distinct(flatten(list(topics)))) as topics
from told group by story
"""

# The dead letters that are open: the newest row of each, where that does not close it.
DEAD_LETTERS = """
create view dead_letters as
with latest as (
  select * from errors
  qualify row_number() over (
    partition by coalesce(letter_id, stage || key)
    order by occurred_at desc, done_at desc nulls last
  ) = 1
)
select * exclude (done_at) from latest where done_at is null
"""

# One row a source and day of fetching: how many of its pages gave a text, and how long the
# texts were, beside the same of all its earlier days.
HEALTH = """
create view health as
with pages as (
  select source, fetched_at::date as date, max("end") as chars
  from passages group by source, article_id, revision, fetched_at::date
  union all
  select source, occurred_at::date, null from errors
  where stage = 'extract' and source is not null and done_at is null
  group by source, occurred_at::date, coalesce(letter_id, key)
), days as (
  select source, date, count(*)::integer as pages,
    round(count(chars) / count(*), 3) as text_share,
    median(chars)::integer as median_chars
  from pages group by source, date
)
select days.*, count(earlier.source)::integer as earlier_pages,
  round(count(earlier.chars) / nullif(count(earlier.source), 0), 3) as earlier_text_share,
  median(earlier.chars)::integer as earlier_median_chars
from days left join pages as earlier
  on earlier.source = days.source and earlier.date < days.date
group by all
"""

VIEWS = (SIGHTS, REVISIONS, ARTICLES, LATEST_PASSAGES, STORIES, DEAD_LETTERS, HEALTH)
# What a query may name, for the help of the command.
NAMES = (
    *("passages", "latest_passages", "articles", "revisions", "sights", "stories"),
    *("errors", "dead_letters", "polls", "checks", "health"),
)
