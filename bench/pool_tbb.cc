// bench/pool_tbb.cc: oneTBB's task_group, for bench_pool: `pool_tbb workers JOBS SUBMITTERS NANOSECONDS` prints nanoseconds for each job. Its queue has no bound.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include <tbb/global_control.h>
#include <tbb/task_group.h>

int main(int argc, char **argv)
{
    using clock = std::chrono::steady_clock;
    if (argc != 5)
        return 2;
    const long jobs = std::atol(argv[2]), submitters = std::atol(argv[3]), each = jobs / submitters;
    const auto work = std::chrono::nanoseconds(std::atol(argv[4]));
    tbb::global_control limit(tbb::global_control::max_allowed_parallelism, 2);
    const auto begun = clock::now();
    std::vector<std::thread> threads;
    for (long i = 0; i < submitters; i++)
        threads.emplace_back([&] {
            tbb::task_group group;
            for (long k = 0; k < each; k++)
                group.run([&] {
                    if (work.count() != 0)
                        for (const auto until = clock::now() + work; clock::now() < until;) {}
                });
            group.wait();
        });
    for (auto &thread : threads)
        thread.join();
    std::printf("%f\n",
                std::chrono::duration<double, std::nano>(clock::now() - begun).count() / double(each * submitters));
    return 0;
}
