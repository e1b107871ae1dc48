"""What every store is: all roles at once, there to be asked; memory and Redis alike."""


async def test_a_store_is_whole_where_nothing_of_it_is_unavailable(store):
    assert await store.ping()
