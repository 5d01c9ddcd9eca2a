# The calls of syscalls.py for compiled modules: straight into the kernel, with no Python
# object between but the bytes that were read, and without giving up the interpreter's lock:
# none of them can block, and a lock that is given up has to be fought for.
cdef extern from *:
    """
    #include <errno.h>
    #include <math.h>
    #include <string.h>
    #include <sys/epoll.h>
    #include <sys/socket.h>
    #include <time.h>

    /* Small reads land here first: to allocate what may come costs more than to copy what came. */
    static char accode_scratch[16384];

    static inline PyObject *accode_failed(void)
    {
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
            Py_RETURN_NONE;
        return PyErr_SetFromErrno(PyExc_OSError);
    }

    static inline PyObject *accode_receive(int fd, Py_ssize_t size)
    {
        PyObject *data;
        ssize_t count;

        if (size <= (Py_ssize_t)sizeof(accode_scratch)) {
            count = recv(fd, accode_scratch, (size_t)size, MSG_DONTWAIT);
            if (count < 0)
                return accode_failed();
            return PyBytes_FromStringAndSize(accode_scratch, count);
        }
        data = PyBytes_FromStringAndSize(NULL, size);
        if (data == NULL)
            return NULL;
        count = recv(fd, PyBytes_AS_STRING(data), (size_t)size, MSG_DONTWAIT);
        if (count < 0) {
            Py_DECREF(data);
            return accode_failed();
        }
        if (count < size && _PyBytes_Resize(&data, count) < 0)
            return NULL;
        return data;
    }

    static inline Py_ssize_t accode_send(int fd, PyObject *data, Py_ssize_t start)
    {
        ssize_t count = send(fd, PyBytes_AS_STRING(data) + start,
                             (size_t)(PyBytes_GET_SIZE(data) - start),
                             MSG_DONTWAIT | MSG_NOSIGNAL);
        if (count >= 0)
            return count;
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
            return 0;
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }

    static inline int accode_wait(
        int epoll, int *fds, unsigned int *events, int most, double timeout)
    {
        struct epoll_event found[64];
        /* Rounded up: a timer that is a part of a millisecond away would be polled for. */
        int at, count, milliseconds = timeout < 0 ? -1
            : timeout > 3600.0 ? 3600000 : (int)ceil(timeout * 1000.0);

        if (most > 64)
            most = 64;
        if (milliseconds == 0) {
            count = epoll_wait(epoll, found, most, 0);
        } else {
            Py_BEGIN_ALLOW_THREADS
            count = epoll_wait(epoll, found, most, milliseconds);
            Py_END_ALLOW_THREADS
        }
        if (count < 0) {
            if (errno == EINTR)
                return PyErr_CheckSignals();
            PyErr_SetFromErrno(PyExc_OSError);
            return -1;
        }
        for (at = 0; at < count; at++) {
            fds[at] = found[at].data.fd;
            events[at] = found[at].events;
        }
        return count;
    }

    static inline double accode_now(void)
    {
        struct timespec at;

        clock_gettime(CLOCK_MONOTONIC, &at);
        return (double)at.tv_sec + (double)at.tv_nsec * 1e-9;
    }
    """
    object receive "accode_receive"(int fd, Py_ssize_t size)
    Py_ssize_t send "accode_send"(int fd, bytes data, Py_ssize_t start) except -1
    int wait "accode_wait"(
        int epoll, int *fds, unsigned int *events, int most, double timeout) except -1
    double now "accode_now"()
