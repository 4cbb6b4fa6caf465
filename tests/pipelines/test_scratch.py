def test_x(lake, rows):
    print(open(lake.parent/"summary.json").read())
    for r in rows(lake,"errors"): print(r)
    for r in rows(lake,"polls"): print(r)
    for r in rows(lake,"passages"):
        if r["position"]==0: print({k:r[k] for k in ("url","canonical_url","source","feed_url","title","authors","lang","published_at","published_from","date","text")})
