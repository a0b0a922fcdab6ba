FROM 127.0.0.1:5000/library/busybox
ENV name=world
RUN echo hello world > /expanded.txt; echo 'hello $name' > /literal.txt; printf 'indented\ntwice\n' > /tabs.txt; : > /empty.txt
COPY --chown=3:4 --chmod=750 a.txt /dir/
RUN echo 1 > /dir/one; echo 2 > /dir/two; chmod 750 /dir/*; chown 3:4 /dir/*
