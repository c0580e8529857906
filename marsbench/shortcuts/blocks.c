/* The block loops of block_loops.py, compiled: the same operations on vLLM's own KVCacheBlock
 * objects, read and written through the offsets of their slots.
 *
 * `bind` refuses a class whose slots are not what these loops expect. Every function does what its
 * namesake in block_loops.py does, in the same order; tests/sim/test_fast_pool.py drives both, and
 * vLLM's own methods, with the same operations and compares all books after each.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>
#include <structmember.h>

#ifndef SOURCE_SHA256
#define SOURCE_SHA256 ""
#endif

#define WRITER_BYTES 4

/* The blocks of a context lie all over memory: of several engines played in turn none is in the
 * processor's caches when its turn comes. So what a loop needs soon is fetched beforehand. */
#define AHEAD 16
#if defined(__GNUC__)
#define FETCH(object, bytes) __builtin_prefetch((const char *)(object) + (bytes), 1)
#else
#define FETCH(object, bytes) ((void)0)
#endif

static PyTypeObject *block_type;
static Py_ssize_t ref_cnt, block_hash, num_tokens, before, after;

static inline PyObject **slot(PyObject *block, Py_ssize_t offset)
{
    return (PyObject **)((char *)block + offset);
}

static inline void put(PyObject *block, Py_ssize_t offset, PyObject *value)
{
    PyObject *old = *slot(block, offset);
    Py_INCREF(value);
    *slot(block, offset) = value;
    Py_XDECREF(old);
}

static inline void fetch_block(PyObject *block)
{
    FETCH(block, 0);
    FETCH(block, 64);
}

/* The object AHEAD places behind this one, of those before `end`; NULL behind the last. */
static inline PyObject *ahead(PyObject **objects, Py_ssize_t place, Py_ssize_t end)
{
    return place + AHEAD < end ? objects[place + AHEAD] : NULL;
}

static int is_block(PyObject *object)
{
    if (block_type != NULL && Py_TYPE(object) == block_type)
        return 1;
    PyErr_SetString(PyExc_TypeError, "not a block of the class that was bound");
    return 0;
}

/* The neighbour of a block in the free list; an error where it is in none. Borrowed. */
static PyObject *neighbour(PyObject *block, Py_ssize_t side)
{
    PyObject *other = *slot(block, side);
    if (other == NULL || Py_TYPE(other) != block_type) {
        PyErr_SetString(PyExc_RuntimeError, "a block of the free list has no neighbour");
        return NULL;
    }
    return other;
}

/* Adds to the count of references; returns the new count, or -1 with an error. */
static long add_reference(PyObject *block, long more)
{
    PyObject *count = *slot(block, ref_cnt);
    long value = count == NULL ? -1 : PyLong_AsLong(count);
    if (value == -1) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "a block's ref_cnt is no count");
        return -1;
    }
    PyObject *sum = PyLong_FromLong(value + more);
    if (sum == NULL)
        return -1;
    *slot(block, ref_cnt) = sum;
    Py_DECREF(count);
    if (value + more < 0) {
        PyErr_SetString(PyExc_ValueError, "a block was given back more often than taken");
        return -1;
    }
    return value + more;
}

static inline int has_hash(PyObject *block)
{
    return *slot(block, block_hash) != Py_None;
}

/* Who wrote a block: the first bytes of its key, as a number. */
static int writer_of(PyObject *key, uint64_t *writer)
{
    if (!PyBytes_Check(key) || PyBytes_GET_SIZE(key) < WRITER_BYTES) {
        PyErr_SetString(PyExc_TypeError, "a block's hash names no writer");
        return -1;
    }
    const unsigned char *bytes = (const unsigned char *)PyBytes_AS_STRING(key);
    *writer = 0;
    for (int i = 0; i < WRITER_BYTES; i++)
        *writer = *writer << 8 | bytes[i];
    return 0;
}

/* A run of evictions that is still growing: `count` pops from `first` on, of one writer. */
typedef struct {
    Py_ssize_t first, count;
    uint64_t writer;
} Run;

static int close_run(PyObject *runs, Run *run)
{
    if (run->count == 0)
        return 0;
    PyObject *closed = Py_BuildValue("(nnK)", run->first, run->count,
                                     (unsigned long long)run->writer);
    if (closed == NULL)
        return -1;
    int failed = PyList_Append(runs, closed);
    Py_DECREF(closed);
    run->count = 0;
    return failed;
}

static int note(PyObject *runs, Run *run, Py_ssize_t place, uint64_t writer)
{
    if (run->count && run->writer == writer && run->first + run->count == place) {
        run->count++;
        return 0;
    }
    if (close_run(runs, run) < 0)
        return -1;
    *run = (Run){place, 1, writer};
    return 0;
}

/* Takes a block's hash out of the cache. 1: evicted, 0: it was in none, -1: an error. */
static int evict(PyObject *block, PyObject *cache, int simple, PyObject *slow)
{
    PyObject *key = *slot(block, block_hash);
    PyObject *entry = simple ? PyDict_GetItemWithError(cache, key) : NULL;
    if (entry == NULL && PyErr_Occurred())
        return -1;
    if (entry == block) {
        Py_INCREF(key);
        int failed = PyDict_DelItem(cache, key);
        Py_DECREF(key);
        put(block, block_hash, Py_None);
        put(block, num_tokens, Py_None);
        return failed < 0 ? -1 : 1;
    }
    PyObject *answer = PyObject_CallOneArg(slow, block);
    if (answer == NULL)
        return -1;
    int evicted = PyObject_IsTrue(answer);
    Py_DECREF(answer);
    return evicted;
}

static PyObject *unlink_first(PyObject *head, Py_ssize_t count)
{
    PyObject *blocks = PyList_New(count), *block = neighbour(head, after);
    if (blocks == NULL)
        return NULL;
    for (Py_ssize_t i = 0; block != NULL && i < count; i++) {
        PyObject *next = neighbour(block, after);
        if (next != NULL) /* blocks that were taken together mostly lie side by side */
            fetch_block((PyObject *)((char *)next + AHEAD * ((char *)next - (char *)block)));
        Py_INCREF(block);
        PyList_SET_ITEM(blocks, i, block);
        block = next;
    }
    if (block == NULL) {
        Py_DECREF(blocks);
        return NULL;
    }
    Py_INCREF(block);
    for (Py_ssize_t i = 0; i < count; i++) {
        put(PyList_GET_ITEM(blocks, i), before, Py_None);
        put(PyList_GET_ITEM(blocks, i), after, Py_None);
    }
    put(head, after, block);
    put(block, before, head);
    Py_DECREF(block);
    return blocks;
}

/* Where the cache has a key, or would have it: looked up a few at a time they are waited for
 * together, and what is done with them then finds them near. */
static void fetch_entry(PyObject *cache, PyObject *key)
{
    if (PyBytes_CheckExact(key))
        PyDict_GetItemWithError(cache, key);
}

/* Those of the next few blocks. */
static void fetch_entries(PyObject *blocks, PyObject *cache, Py_ssize_t begin)
{
    Py_ssize_t end = PyList_GET_SIZE(blocks);
    for (Py_ssize_t i = begin; i < begin + AHEAD && i < end; i++) {
        PyObject *later = ahead(PySequence_Fast_ITEMS(blocks), i, end);
        if (later != NULL)
            FETCH(*slot(later, block_hash), 0);
        fetch_entry(cache, *slot(PyList_GET_ITEM(blocks, i), block_hash));
    }
}

static int reuse(PyObject *blocks, PyObject *cache, int simple, Py_ssize_t place, PyObject *slow,
                 PyObject *runs)
{
    Run run = {0, 0, 0};
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(blocks); i++) {
        PyObject *block = PyList_GET_ITEM(blocks, i);
        if (i % AHEAD == 0)
            fetch_entries(blocks, cache, i);
        if (has_hash(block)) {
            uint64_t writer;
            if (writer_of(*slot(block, block_hash), &writer) < 0)
                return -1;
            int evicted = evict(block, cache, simple, slow);
            if (evicted < 0 || (evicted && note(runs, &run, place + i + 1, writer) < 0))
                return -1;
        }
        if (add_reference(block, 1) < 0)
            return -1;
    }
    return close_run(runs, &run);
}

PyDoc_STRVAR(pop_doc, "pop(head, count, cache, simple, place, slow_evict, runs) -> blocks");

static PyObject *pop(PyObject *self, PyObject *args)
{
    PyObject *head, *cache, *slow, *runs;
    Py_ssize_t count, place;
    int simple;
    if (!PyArg_ParseTuple(args, "OnO!pnOO!", &head, &count, &PyDict_Type, &cache, &simple, &place,
                          &slow, &PyList_Type, &runs) ||
        !is_block(head))
        return NULL;
    PyObject *blocks = unlink_first(head, count);
    if (blocks != NULL && reuse(blocks, cache, simple, place, slow, runs) < 0)
        Py_CLEAR(blocks);
    return blocks;
}

PyDoc_STRVAR(insert_doc, "insert(cache, blocks, keys, begin, end, size, slow_insert)");

static int insert_one(PyObject *cache, PyObject *block, PyObject *key, PyObject *tokens,
                      PyObject *slow)
{
    PyObject *entry = is_block(block) ? PyDict_SetDefault(cache, key, block) : NULL;
    if (entry == NULL)
        return -1;
    if (entry == block && !has_hash(block)) {
        put(block, block_hash, key);
        put(block, num_tokens, tokens);
        return 0;
    }
    /* Another block has this hash already: vLLM keeps both. */
    PyObject *answer = PyObject_CallFunctionObjArgs(slow, key, block, tokens, NULL);
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}

static PyObject *insert(PyObject *self, PyObject *args)
{
    PyObject *cache, *blocks, *keys, *slow;
    Py_ssize_t begin, end, size;
    if (!PyArg_ParseTuple(args, "O!O!O!nnnO", &PyDict_Type, &cache, &PyList_Type, &blocks,
                          &PyList_Type, &keys, &begin, &end, &size, &slow))
        return NULL;
    if (begin < 0 || PyList_GET_SIZE(blocks) < end || PyList_GET_SIZE(keys) < end) {
        PyErr_SetString(PyExc_ValueError, "fewer blocks or keys than are to be cached");
        return NULL;
    }
    for (Py_ssize_t i = begin; i < end; i++) {
        PyObject *later = ahead(PySequence_Fast_ITEMS(blocks), i, end);
        if (later != NULL)
            fetch_block(later);
        for (Py_ssize_t n = i; (i - begin) % AHEAD == 0 && n < i + AHEAD && n < end; n++)
            fetch_entry(cache, PyList_GET_ITEM(keys, n));
        FETCH(ahead(PySequence_Fast_ITEMS(keys), i, end), 0);
        PyObject *tokens = PyLong_FromSsize_t((i + 1) * size);
        int failed = tokens == NULL || insert_one(cache, PyList_GET_ITEM(blocks, i),
                                                  PyList_GET_ITEM(keys, i), tokens, slow) < 0;
        Py_XDECREF(tokens);
        if (failed)
            return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(lookup_doc, "lookup(cache, keys, limit) -> the blocks of the longest cached prefix");

/* The block of a cache entry; of several under one hash the first. A new reference. */
static PyObject *serving(PyObject *entry)
{
    if (Py_TYPE(entry) == block_type)
        return Py_NewRef(entry);
    PyObject *key, *block = NULL;
    Py_ssize_t position = 0;
    if (!PyDict_Check(entry) || !PyDict_Next(entry, &position, &key, &block) || !is_block(block)) {
        PyErr_SetString(PyExc_TypeError, "the prefix cache holds what is no block");
        return NULL;
    }
    return Py_NewRef(block);
}

/* Entries of the cache under the next few keys, which are fetched meanwhile. -1: an error. */
static int entries_of(PyObject *cache, PyObject **keys, Py_ssize_t count, PyObject **entries)
{
    int found = 0;
    for (; found < count && found < AHEAD; found++) {
        FETCH(ahead(keys, found, count), 0);
        entries[found] = PyDict_GetItemWithError(cache, keys[found]);
        if (entries[found] == NULL)
            break;
        fetch_block(entries[found]);
    }
    return PyErr_Occurred() ? -1 : found;
}

static int append_serving(PyObject *blocks, PyObject *entry)
{
    PyObject *block = serving(entry);
    int failed = block == NULL || PyList_Append(blocks, block) < 0;
    Py_XDECREF(block);
    return failed ? -1 : 0;
}

static PyObject *lookup(PyObject *self, PyObject *args)
{
    PyObject *cache, *keys, *entries[AHEAD];
    Py_ssize_t limit;
    if (!PyArg_ParseTuple(args, "O!O!n", &PyDict_Type, &cache, &PyList_Type, &keys, &limit))
        return NULL;
    PyObject *blocks = PyList_New(0);
    if (limit > PyList_GET_SIZE(keys))
        limit = PyList_GET_SIZE(keys);
    int found = AHEAD;
    for (Py_ssize_t i = 0; blocks != NULL && i < limit && found == AHEAD; i += AHEAD) {
        found = entries_of(cache, PySequence_Fast_ITEMS(keys) + i, limit - i, entries);
        int failed = found < 0;
        for (int n = 0; n < found && !failed; n++)
            failed = append_serving(blocks, entries[n]) < 0;
        if (failed)
            Py_CLEAR(blocks);
    }
    return blocks;
}

PyDoc_STRVAR(touch_doc, "touch(blocks) -> how many of them left the free list");

static int take_out(PyObject *block)
{
    PyObject *left = neighbour(block, before), *right = neighbour(block, after);
    if (left == NULL || right == NULL)
        return -1;
    Py_INCREF(left);
    Py_INCREF(right);
    put(left, after, right);
    put(right, before, left);
    put(block, before, Py_None);
    put(block, after, Py_None);
    Py_DECREF(left);
    Py_DECREF(right);
    return 0;
}

static PyObject *touch(PyObject *self, PyObject *sequence)
{
    PyObject *blocks = PySequence_Fast(sequence, "blocks come as a sequence");
    if (blocks == NULL)
        return NULL;
    Py_ssize_t removed = 0;
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(blocks); i++) {
        PyObject *block = PySequence_Fast_GET_ITEM(blocks, i);
        PyObject *later = ahead(PySequence_Fast_ITEMS(blocks), i, PySequence_Fast_GET_SIZE(blocks));
        if (later != NULL)
            fetch_block(later);
        long count = is_block(block) ? add_reference(block, 1) : -1;
        if (count < 0 || (count == 1 && take_out(block) < 0)) {
            Py_DECREF(blocks);
            return NULL;
        }
        removed += count == 1;
    }
    Py_DECREF(blocks);
    return PyLong_FromSsize_t(removed);
}

PyDoc_STRVAR(give_back_doc, "give_back(blocks, head, tail) -> how many joined the free list");

/* Links a list of blocks between two neighbours of the free list. */
static void link_between(PyObject *left, PyObject *blocks, PyObject *right)
{
    Py_INCREF(left);
    Py_INCREF(right);
    PyObject *last = left;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(blocks); i++) {
        PyObject *block = PyList_GET_ITEM(blocks, i);
        put(block, before, last);
        put(last, after, block);
        last = block;
    }
    put(last, after, right);
    put(right, before, last);
    Py_DECREF(left);
    Py_DECREF(right);
}

/* Gives a block's reference back; without a user it goes into one of the two lists. */
static int part_one(PyObject *block, PyObject *empty, PyObject *cached)
{
    long count = is_block(block) ? add_reference(block, -1) : -1;
    if (count == 0)
        return PyList_Append(has_hash(block) ? cached : empty, block);
    return count < 0 ? -1 : 0;
}

static int part(PyObject *blocks, PyObject *empty, PyObject *cached)
{
    PyObject *iterator = PyObject_GetIter(blocks), *some[AHEAD];
    if (iterator == NULL)
        return -1;
    int count = AHEAD, failed = 0;
    while (count == AHEAD && !failed) {
        for (count = 0; count < AHEAD && (some[count] = PyIter_Next(iterator)) != NULL; count++)
            FETCH(some[count], 64);
        for (int i = 0; i < count; i++) {
            failed = failed || part_one(some[i], empty, cached) < 0;
            Py_DECREF(some[i]);
        }
    }
    Py_DECREF(iterator);
    return PyErr_Occurred() ? -1 : 0;
}

static PyObject *give_back(PyObject *self, PyObject *args)
{
    PyObject *blocks, *head, *tail, *joined = NULL;
    if (!PyArg_ParseTuple(args, "OOO", &blocks, &head, &tail) || !is_block(head) ||
        !is_block(tail))
        return NULL;
    PyObject *empty = PyList_New(0), *cached = PyList_New(0);
    if (empty != NULL && cached != NULL && part(blocks, empty, cached) == 0) {
        PyObject *first = neighbour(head, after);
        if (first != NULL) {
            link_between(head, empty, first);
            PyObject *last = neighbour(tail, before);
            if (last != NULL) {
                link_between(last, cached, tail);
                joined = PyLong_FromSsize_t(PyList_GET_SIZE(empty) + PyList_GET_SIZE(cached));
            }
        }
    }
    Py_XDECREF(empty);
    Py_XDECREF(cached);
    return joined;
}

PyDoc_STRVAR(scan_doc, "scan(block, tail, count, most, host) -> last, visited, found");

/* 1 where a block has contents that host memory has not, 0 where not, -1 with an error. */
static int is_wanted(PyObject *block, PyObject *host)
{
    if (!has_hash(block))
        return 0;
    int there = PyDict_Contains(host, *slot(block, block_hash));
    return there < 0 ? -1 : !there;
}

static PyObject *scan(PyObject *self, PyObject *args)
{
    PyObject *block, *tail, *host;
    Py_ssize_t count, most, visited = 0;
    if (!PyArg_ParseTuple(args, "OOnnO!", &block, &tail, &count, &most, &PyDict_Type, &host) ||
        !is_block(block) || !is_block(tail))
        return NULL;
    PyObject *found = PyList_New(0);
    while (found != NULL && visited < count && PyList_GET_SIZE(found) < most) {
        PyObject *next = neighbour(block, after);
        if (next == tail)
            break;
        int wanted = next == NULL ? -1 : is_wanted(next, host);
        if (wanted < 0 || (wanted && PyList_Append(found, next) < 0))
            Py_CLEAR(found);
        block = next;
        visited++;
    }
    return found == NULL ? NULL : Py_BuildValue("OnN", block, visited, found);
}

PyDoc_STRVAR(before_doc, "before(block, head, most) -> how many blocks come before it");

static PyObject *before_block(PyObject *self, PyObject *args)
{
    PyObject *block, *head;
    Py_ssize_t most, count = 0;
    if (!PyArg_ParseTuple(args, "OOn", &block, &head, &most) || !is_block(block))
        return NULL;
    for (; count < most; count++) {
        block = neighbour(block, before);
        if (block == NULL)
            return NULL;
        if (block == head)
            break;
    }
    return PyLong_FromSsize_t(count);
}

PyDoc_STRVAR(count_unused_doc, "count_unused(blocks) -> how many of them nobody uses");

static PyObject *count_unused(PyObject *self, PyObject *sequence)
{
    PyObject *blocks = PySequence_Fast(sequence, "blocks come as a sequence");
    if (blocks == NULL)
        return NULL;
    Py_ssize_t unused = 0;
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(blocks); i++) {
        PyObject *block = PySequence_Fast_GET_ITEM(blocks, i);
        if (!is_block(block)) {
            Py_DECREF(blocks);
            return NULL;
        }
        unused += PyLong_AsLong(*slot(block, ref_cnt)) == 0;
    }
    Py_DECREF(blocks);
    return PyErr_Occurred() ? NULL : PyLong_FromSsize_t(unused);
}

PyDoc_STRVAR(bind_doc, "bind(cls): these loops are for blocks of this class; TypeError if not.");

static int offset_of(PyObject *cls, const char *name, Py_ssize_t *offset)
{
    PyObject *member = PyObject_GetAttrString(cls, name);
    if (member == NULL) {
        PyErr_Format(PyExc_TypeError, "a block has no %s", name);
        return -1;
    }
    int expected = Py_TYPE(member) == &PyMemberDescr_Type &&
                   ((PyMemberDescrObject *)member)->d_member->type == T_OBJECT_EX;
    if (expected)
        *offset = ((PyMemberDescrObject *)member)->d_member->offset;
    else
        PyErr_Format(PyExc_TypeError, "a block's %s is no slot", name);
    Py_DECREF(member);
    return expected ? 0 : -1;
}

static PyObject *bind(PyObject *self, PyObject *cls)
{
    static const char *names[] = {"ref_cnt", "_block_hash", "_block_hash_num_tokens",
                                  "prev_free_block", "next_free_block"};
    Py_ssize_t offsets[5];
    if (!PyType_Check(cls)) {
        PyErr_SetString(PyExc_TypeError, "bind takes a class");
        return NULL;
    }
    for (int i = 0; i < 5; i++)
        if (offset_of(cls, names[i], &offsets[i]) < 0)
            return NULL;
    ref_cnt = offsets[0], block_hash = offsets[1], num_tokens = offsets[2];
    before = offsets[3], after = offsets[4];
    Py_XSETREF(block_type, (PyTypeObject *)Py_NewRef(cls));
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"bind", bind, METH_O, bind_doc},
    {"pop", pop, METH_VARARGS, pop_doc},
    {"insert", insert, METH_VARARGS, insert_doc},
    {"lookup", lookup, METH_VARARGS, lookup_doc},
    {"touch", touch, METH_O, touch_doc},
    {"give_back", give_back, METH_VARARGS, give_back_doc},
    {"scan", scan, METH_VARARGS, scan_doc},
    {"before", before_block, METH_VARARGS, before_doc},
    {"count_unused", count_unused, METH_O, count_unused_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_blocks", "The block loops, compiled.", -1, methods,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__blocks(void)
{
    PyObject *module = PyModule_Create(&definition);
    if (module != NULL && PyModule_AddStringConstant(module, "SOURCE", SOURCE_SHA256) < 0)
        Py_CLEAR(module);
    return module;
}
